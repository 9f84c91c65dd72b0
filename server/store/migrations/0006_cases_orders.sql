-- Lost-device cases and orders for destructive deeds.
CREATE TABLE lost_case (
  seq {{identity}},
  id TEXT NOT NULL,
  device_id TEXT NOT NULL,
  kind TEXT NOT NULL,
  state TEXT NOT NULL,
  reported_by TEXT NOT NULL,
  reported_name TEXT NOT NULL,
  reported_at BIGINT NOT NULL,
  seen_where TEXT NOT NULL,
  seen_at BIGINT NOT NULL,
  was_unlocked TEXT NOT NULL,
  note TEXT NOT NULL,
  message TEXT NOT NULL,
  phone TEXT NOT NULL,
  footnote TEXT NOT NULL,
  found_at BIGINT NOT NULL,
  closed_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX lost_case_id ON lost_case (id);
CREATE UNIQUE INDEX lost_case_open ON lost_case (device_id) WHERE state = 'open';
CREATE INDEX lost_case_device ON lost_case (device_id, seq);

CREATE TABLE case_event (
  seq {{identity}},
  case_id TEXT NOT NULL,
  kind TEXT NOT NULL,
  text TEXT NOT NULL,
  person TEXT NOT NULL,
  name TEXT NOT NULL,
  at BIGINT NOT NULL
);
CREATE INDEX case_event_case ON case_event (case_id, seq);

-- Where a lost device was: personal data, sealed, and deleted by retention.
CREATE TABLE case_location (
  case_id TEXT NOT NULL,
  observed_at BIGINT NOT NULL,
  received_at BIGINT NOT NULL,
  sealed {{blob}} NOT NULL,
  PRIMARY KEY (case_id, observed_at)
);
CREATE INDEX case_location_received ON case_location (received_at);

CREATE INDEX command_case ON command (case_id, seq) WHERE case_id <> '';

-- The brake counts what it let pass. The one row of the gate is written first, so that
-- two copies of the server never count at the same moment.
CREATE TABLE brake_gate (
  id INTEGER PRIMARY KEY,
  used_at BIGINT NOT NULL
);
INSERT INTO brake_gate (id, used_at) VALUES (1, 0);
CREATE TABLE brake_use (
  seq {{identity}},
  deed TEXT NOT NULL,
  subject TEXT NOT NULL,
  actor TEXT NOT NULL,
  at BIGINT NOT NULL
);
CREATE INDEX brake_use_at ON brake_use (at);

CREATE TABLE orders (
  seq {{identity}},
  id TEXT NOT NULL,
  kind TEXT NOT NULL,
  hash TEXT NOT NULL,
  preserve_data_plan BOOLEAN NOT NULL,
  disallow_proximity_setup BOOLEAN NOT NULL,
  reason TEXT NOT NULL,
  case_id TEXT NOT NULL,
  requested_by TEXT NOT NULL CHECK (requested_by <> ''),
  requested_name TEXT NOT NULL,
  state TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  expires_at BIGINT NOT NULL,
  closed_by TEXT NOT NULL,
  closed_name TEXT NOT NULL,
  closed_at BIGINT NOT NULL,
  closed_reason TEXT NOT NULL
);
CREATE UNIQUE INDEX orders_id ON orders (id);
CREATE UNIQUE INDEX orders_approvable ON orders (id, hash, requested_by);
CREATE INDEX orders_due ON orders (expires_at) WHERE state = 'requested';
CREATE INDEX orders_state ON orders (state, seq);
CREATE INDEX orders_case ON orders (case_id, seq) WHERE case_id <> '';

CREATE TABLE order_target (
  order_id TEXT NOT NULL REFERENCES orders (id),
  device_id TEXT NOT NULL,
  enrolment_id TEXT NOT NULL,
  name TEXT NOT NULL,
  outcome TEXT NOT NULL,
  command TEXT NOT NULL,
  delivered_at BIGINT NOT NULL,
  answered_at BIGINT NOT NULL,
  error TEXT NOT NULL,
  PRIMARY KEY (order_id, device_id)
);
CREATE INDEX order_target_device ON order_target (device_id, order_id);

-- The database itself refuses an approval by who asked for the order, for another
-- hash, or a second one by the same person.
CREATE TABLE order_approval (
  order_id TEXT NOT NULL,
  hash TEXT NOT NULL,
  requested_by TEXT NOT NULL,
  person TEXT NOT NULL CHECK (person <> '' AND person <> requested_by),
  name TEXT NOT NULL,
  via TEXT NOT NULL,
  token TEXT NOT NULL,
  at BIGINT NOT NULL,
  PRIMARY KEY (order_id, person),
  FOREIGN KEY (order_id, hash, requested_by) REFERENCES orders (id, hash, requested_by)
);
