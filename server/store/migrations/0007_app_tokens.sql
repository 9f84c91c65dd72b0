-- One-time tokens that apps exchange for certificates; only their hashes are kept.
CREATE TABLE app_token (
  hash TEXT PRIMARY KEY,
  device_id TEXT NOT NULL,
  enrolment_id TEXT NOT NULL,
  app TEXT NOT NULL,
  issued_at BIGINT NOT NULL,
  expires_at BIGINT NOT NULL,
  used_at BIGINT NOT NULL
);
CREATE INDEX app_token_enrolment ON app_token (enrolment_id, app, issued_at);
