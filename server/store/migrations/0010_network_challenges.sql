-- Challenges in profiles by which devices get network certificates; only their hashes are
-- kept, and only while they are open: one that is used leaves the record of its
-- certificate.
CREATE TABLE network_challenge (
  seq {{identity}},
  hash TEXT NOT NULL,
  device_id TEXT NOT NULL,
  enrolment_id TEXT NOT NULL,
  profile TEXT NOT NULL,
  issued_at BIGINT NOT NULL,
  expires_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX network_challenge_hash ON network_challenge (hash);
CREATE INDEX network_challenge_enrolment ON network_challenge (enrolment_id, seq);
CREATE INDEX network_challenge_device ON network_challenge (device_id);
