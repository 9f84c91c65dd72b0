-- Orders of the ACME protocol, each with its one authorization and its one challenge. Of
-- the secret in the directory's address only the hash is kept; accounts are not kept at
-- all. Orders are deleted a day after they were made.
CREATE TABLE acme_order (
  id TEXT PRIMARY KEY,
  challenge TEXT NOT NULL,
  number INTEGER NOT NULL,
  account TEXT NOT NULL,
  format TEXT NOT NULL,
  identifier TEXT NOT NULL,
  token TEXT NOT NULL,
  status TEXT NOT NULL,
  problem TEXT NOT NULL,
  key TEXT NOT NULL,
  attested_serial TEXT NOT NULL,
  attested_udid TEXT NOT NULL,
  attested_os TEXT NOT NULL,
  certificate TEXT NOT NULL,
  answered_at BIGINT NOT NULL,
  created_at BIGINT NOT NULL,
  expires_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX acme_order_challenge ON acme_order (challenge, number);
CREATE INDEX acme_order_age ON acme_order (created_at);
