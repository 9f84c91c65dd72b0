-- The record of every certificate that Ward issued, and what was revoked of it.
-- Times are microseconds UTC; revoked_at 0 means valid.
CREATE TABLE certificate (
  seq {{identity}},
  serial TEXT NOT NULL,
  hash TEXT NOT NULL,
  kind TEXT NOT NULL,
  invitation TEXT NOT NULL,
  device_id TEXT NOT NULL,
  enrolment_id TEXT NOT NULL,
  app TEXT NOT NULL,
  subject TEXT NOT NULL,
  not_before BIGINT NOT NULL,
  not_after BIGINT NOT NULL,
  der {{blob}} NOT NULL,
  renewed_from TEXT NOT NULL,
  revoked_at BIGINT NOT NULL,
  reason INTEGER NOT NULL,
  revoked_by TEXT NOT NULL
);
CREATE UNIQUE INDEX certificate_serial ON certificate (serial);
CREATE UNIQUE INDEX certificate_hash ON certificate (hash);
CREATE INDEX certificate_device ON certificate (device_id, seq) WHERE device_id <> '';
CREATE INDEX certificate_invitation ON certificate (invitation, seq) WHERE invitation <> '';
CREATE INDEX certificate_revoked ON certificate (not_after) WHERE revoked_at > 0;

-- The newest revocation list: one row.
CREATE TABLE certificate_list (
  id INTEGER PRIMARY KEY,
  number BIGINT NOT NULL,
  der {{blob}} NOT NULL,
  made_at BIGINT NOT NULL
);

-- What may be used one time only, such as a token of the authority's library.
CREATE TABLE certificate_once (
  bucket TEXT NOT NULL,
  key TEXT NOT NULL,
  value {{blob}} NOT NULL,
  created_at BIGINT NOT NULL,
  PRIMARY KEY (bucket, key)
);
CREATE INDEX certificate_once_age ON certificate_once (created_at);
