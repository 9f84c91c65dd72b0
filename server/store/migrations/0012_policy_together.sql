-- For how many devices a version changes something together with what was changed without
-- a second person in the day before it.
ALTER TABLE policy ADD COLUMN together BIGINT NOT NULL DEFAULT 0;
UPDATE policy SET together = changed;
