-- Questions to TPMs that wait for their answers, one for each challenge. Of challenge and
-- answer only the hashes are kept.
CREATE TABLE tpm_activation (
  challenge TEXT PRIMARY KEY,
  secret {{blob}} NOT NULL,
  ak {{blob}} NOT NULL,
  ek TEXT NOT NULL,
  manufacturer TEXT NOT NULL,
  model TEXT NOT NULL,
  firmware TEXT NOT NULL,
  expires_at BIGINT NOT NULL
);
CREATE INDEX tpm_activation_expires ON tpm_activation (expires_at);
