-- Devices, their enrolments, the command queue and what devices have told.
-- Times are microseconds UTC; 0 means never.
CREATE TABLE device (
  id TEXT PRIMARY KEY,
  serial TEXT NOT NULL,
  name TEXT NOT NULL,
  platform TEXT NOT NULL,
  model TEXT NOT NULL,
  os_version TEXT NOT NULL,
  ownership TEXT NOT NULL,
  grp TEXT NOT NULL,
  owner TEXT NOT NULL,
  email TEXT NOT NULL,
  state TEXT NOT NULL,
  reenrol BOOLEAN NOT NULL,
  generation BIGINT NOT NULL,
  check_at BIGINT NOT NULL,
  created_at BIGINT NOT NULL
);
CREATE INDEX device_serial ON device (serial) WHERE serial <> '';
CREATE INDEX device_check ON device (check_at) WHERE check_at > 0;

CREATE TABLE enrolment (
  id TEXT PRIMARY KEY,
  channel TEXT NOT NULL,
  parent TEXT NOT NULL,
  kind TEXT NOT NULL,
  epoch BIGINT NOT NULL,
  latest BOOLEAN NOT NULL,
  device_id TEXT NOT NULL,
  state TEXT NOT NULL,
  serial TEXT NOT NULL,
  supervised TEXT NOT NULL,
  rights BIGINT NOT NULL,
  invitation TEXT NOT NULL,
  topic TEXT NOT NULL,
  push_token TEXT NOT NULL,
  push_magic TEXT NOT NULL,
  push_dead_at BIGINT NOT NULL,
  unlock_token {{blob}},
  bootstrap_token {{blob}},
  tally BIGINT NOT NULL,
  authenticate {{blob}},
  token_update {{blob}},
  created_at BIGINT NOT NULL,
  enrolled_at BIGINT NOT NULL,
  ended_at BIGINT NOT NULL,
  end_reason TEXT NOT NULL
);
CREATE UNIQUE INDEX enrolment_epoch ON enrolment (channel, epoch);
CREATE UNIQUE INDEX enrolment_latest ON enrolment (channel) WHERE latest;
CREATE INDEX enrolment_device ON enrolment (device_id, created_at) WHERE device_id <> '';
CREATE INDEX enrolment_parent ON enrolment (parent) WHERE parent <> '';

-- Apart from enrolment, so that a heartbeat rewrites a short row.
CREATE TABLE seen (
  enrolment_id TEXT PRIMARY KEY,
  at BIGINT NOT NULL
);

-- Which certificate proves which channel. A dead row stays: its certificate may
-- never prove another channel.
CREATE TABLE identity (
  hash TEXT PRIMARY KEY,
  channel TEXT NOT NULL,
  live BOOLEAN NOT NULL,
  bound_at BIGINT NOT NULL
);
CREATE INDEX identity_channel ON identity (channel) WHERE live;

-- sealed holds the command, encrypted and bound to its row: it is the row's MAC too.
CREATE TABLE command (
  seq {{identity}},
  uuid TEXT NOT NULL,
  enrolment_id TEXT NOT NULL,
  request_type TEXT NOT NULL,
  sealed {{blob}} NOT NULL,
  urgent INTEGER NOT NULL,
  pending BOOLEAN NOT NULL,
  deferred BOOLEAN NOT NULL,
  state TEXT NOT NULL,
  step_key TEXT NOT NULL,
  case_id TEXT NOT NULL,
  order_id TEXT NOT NULL,
  requested_by TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  delivered_at BIGINT NOT NULL,
  deliveries INTEGER NOT NULL,
  not_now_at BIGINT NOT NULL,
  answered_at BIGINT NOT NULL,
  error TEXT NOT NULL,
  answer {{blob}}
);
CREATE UNIQUE INDEX command_uuid ON command (uuid, enrolment_id);
CREATE INDEX command_pending ON command (enrolment_id, urgent, seq) WHERE pending;
CREATE INDEX command_history ON command (enrolment_id, seq);
CREATE INDEX command_answered ON command (answered_at) WHERE answered_at > 0;
CREATE INDEX command_erase ON command (enrolment_id) WHERE request_type = 'EraseDevice';
CREATE INDEX command_order ON command (order_id) WHERE order_id <> '';

-- The newest attempt of each step of the loop, so that planning reads few rows
-- however long a device's history is.
CREATE TABLE attempt (
  enrolment_id TEXT NOT NULL,
  step_key TEXT NOT NULL,
  uuid TEXT NOT NULL,
  state TEXT NOT NULL,
  tries INTEGER NOT NULL,
  queued_at BIGINT NOT NULL,
  answered_at BIGINT NOT NULL,
  error TEXT NOT NULL,
  PRIMARY KEY (enrolment_id, step_key)
);

-- A push that is owed to an enrolment.
CREATE TABLE push (
  enrolment_id TEXT PRIMARY KEY,
  due_at BIGINT NOT NULL,
  attempts INTEGER NOT NULL,
  leased_until BIGINT NOT NULL
);
CREATE INDEX push_due ON push (due_at);

CREATE TABLE push_certificate (
  topic TEXT PRIMARY KEY,
  certificate TEXT NOT NULL,
  sealed_key {{blob}} NOT NULL,
  version BIGINT NOT NULL,
  not_after BIGINT NOT NULL,
  stored_at BIGINT NOT NULL
);

-- The last thing a device told of each kind, with its time.
CREATE TABLE fact (
  enrolment_id TEXT NOT NULL,
  kind TEXT NOT NULL,
  value TEXT NOT NULL,
  observed_at BIGINT NOT NULL,
  PRIMARY KEY (enrolment_id, kind)
);

CREATE TABLE policy (
  generation BIGINT PRIMARY KEY,
  text TEXT NOT NULL,
  published_at BIGINT NOT NULL,
  published_by TEXT NOT NULL
);

CREATE TABLE setting (
  key TEXT PRIMARY KEY,
  value TEXT NOT NULL
);
