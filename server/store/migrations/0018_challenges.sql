-- One-time challenges by which enrolled devices get certificates: for networks as before,
-- and for a new identity or for an app. Only their hashes are kept, and only while they are
-- open: one that is used leaves the record of its certificate.
ALTER TABLE network_challenge RENAME TO device_challenge;
ALTER TABLE device_challenge ADD COLUMN purpose TEXT NOT NULL DEFAULT 'network';
ALTER TABLE device_challenge ADD COLUMN app TEXT NOT NULL DEFAULT '';
ALTER TABLE device_challenge ADD COLUMN attested BOOLEAN NOT NULL DEFAULT FALSE;
ALTER TABLE device_challenge ADD COLUMN renewed_from TEXT NOT NULL DEFAULT '';
DROP INDEX network_challenge_hash;
DROP INDEX network_challenge_enrolment;
DROP INDEX network_challenge_device;
CREATE UNIQUE INDEX device_challenge_hash ON device_challenge (hash);
CREATE INDEX device_challenge_enrolment ON device_challenge (enrolment_id, purpose, seq);
CREATE INDEX device_challenge_device ON device_challenge (device_id);
