-- Who may approve orders, and the words of others for them. What stands here is believed as
-- far as passkeys and a file outside the database prove it.
CREATE TABLE approver (
  id TEXT PRIMARY KEY,
  person TEXT NOT NULL,
  subject TEXT NOT NULL,
  name TEXT NOT NULL,
  outside BOOLEAN NOT NULL,
  key_id {{blob}} NOT NULL,
  public_key {{blob}} NOT NULL,
  counter BIGINT NOT NULL,
  registered_at BIGINT NOT NULL,
  hash TEXT NOT NULL,
  ended_at BIGINT NOT NULL,
  ended_by TEXT NOT NULL
);
CREATE UNIQUE INDEX approver_key_id ON approver (key_id);
CREATE UNIQUE INDEX approver_public_key ON approver (public_key);
CREATE TABLE approver_vouch (
  approver_id TEXT NOT NULL REFERENCES approver (id),
  voucher_id TEXT NOT NULL,
  purpose TEXT NOT NULL,
  hash TEXT NOT NULL,
  nonce {{blob}} NOT NULL,
  client_data {{blob}} NOT NULL,
  authenticator_data {{blob}} NOT NULL,
  signature {{blob}} NOT NULL,
  at BIGINT NOT NULL,
  PRIMARY KEY (approver_id, voucher_id)
);
-- Open questions to passkeys, each good once.
CREATE TABLE approver_nonce (
  hash TEXT PRIMARY KEY,
  nonce {{blob}} NOT NULL,
  person TEXT NOT NULL,
  purpose TEXT NOT NULL,
  of_hash TEXT NOT NULL,
  expires_at BIGINT NOT NULL
);
CREATE INDEX approver_nonce_expires ON approver_nonce (expires_at);
-- One-time links by which one person registers a passkey; only the hashes of their secrets.
CREATE TABLE approver_invite (
  hash TEXT PRIMARY KEY,
  person TEXT NOT NULL,
  subject TEXT NOT NULL,
  outside BOOLEAN NOT NULL,
  invited_by TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  expires_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX approver_invite_person ON approver_invite (person);
