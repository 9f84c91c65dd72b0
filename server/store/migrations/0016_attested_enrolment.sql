-- Which device an invitation is for, how it gets its identity, and which way a challenge goes.

-- Empty: any device; as is decided when the link is opened.
ALTER TABLE invitation ADD COLUMN serial TEXT NOT NULL DEFAULT '';
ALTER TABLE invitation ADD COLUMN identity TEXT NOT NULL DEFAULT '';

-- What an attested certificate is ordered for; empty where the challenge is a password for SCEP.
ALTER TABLE challenge ADD COLUMN identifier TEXT NOT NULL DEFAULT '';
