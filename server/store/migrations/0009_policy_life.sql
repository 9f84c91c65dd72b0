-- The life of a policy: who proposed and who approved it, how it is rolled out, what
-- drifted from it; and where devices belong.
ALTER TABLE device ADD COLUMN site TEXT NOT NULL DEFAULT '';
ALTER TABLE device ADD COLUMN role TEXT NOT NULL DEFAULT '';
ALTER TABLE invitation ADD COLUMN site TEXT NOT NULL DEFAULT '';
ALTER TABLE invitation ADD COLUMN role TEXT NOT NULL DEFAULT '';

-- files and rings are JSON. base is the generation that was in force when a version was
-- proposed. A version that was in force once is superseded when another takes its place.
ALTER TABLE policy ADD COLUMN state TEXT NOT NULL DEFAULT 'superseded';
ALTER TABLE policy ADD COLUMN base BIGINT NOT NULL DEFAULT 0;
ALTER TABLE policy ADD COLUMN files TEXT NOT NULL DEFAULT '{}';
ALTER TABLE policy ADD COLUMN rings TEXT NOT NULL DEFAULT '{}';
ALTER TABLE policy ADD COLUMN note TEXT NOT NULL DEFAULT '';
ALTER TABLE policy ADD COLUMN reason TEXT NOT NULL DEFAULT '';
ALTER TABLE policy ADD COLUMN author_name TEXT NOT NULL DEFAULT '';
ALTER TABLE policy ADD COLUMN devices BIGINT NOT NULL DEFAULT 0;
ALTER TABLE policy ADD COLUMN changed BIGINT NOT NULL DEFAULT 0;
ALTER TABLE policy ADD COLUMN approver TEXT NOT NULL DEFAULT '';
ALTER TABLE policy ADD COLUMN approver_name TEXT NOT NULL DEFAULT '';
ALTER TABLE policy ADD COLUMN approved_at BIGINT NOT NULL DEFAULT 0;
ALTER TABLE policy ADD COLUMN ended_at BIGINT NOT NULL DEFAULT 0;
ALTER TABLE policy ADD COLUMN ended_reason TEXT NOT NULL DEFAULT '';
UPDATE policy SET state = 'current' WHERE generation = (SELECT MAX(generation) FROM policy);
CREATE UNIQUE INDEX policy_current ON policy (state) WHERE state = 'current';
CREATE INDEX policy_state ON policy (state);

-- epoch grows whenever the version that holds for any device may be another; devices are
-- planned for an epoch. stamp is another with every change, also one of a rollout that
-- moves no device. The one row is locked by every deed on a policy.
CREATE TABLE policy_epoch (
  id INTEGER PRIMARY KEY,
  epoch BIGINT NOT NULL,
  stamp TEXT NOT NULL
);
INSERT INTO policy_epoch (id, epoch, stamp) SELECT 1, COALESCE(MAX(generation), 0), '' FROM policy;

-- Where the rollout of a generation stands. ring is the newest open one, from 0.
CREATE TABLE rollout (
  generation BIGINT PRIMARY KEY,
  ring INTEGER NOT NULL,
  started_at BIGINT NOT NULL,
  opened_at BIGINT NOT NULL,
  stopped_at BIGINT NOT NULL,
  finished_at BIGINT NOT NULL,
  failed BIGINT NOT NULL,
  reason TEXT NOT NULL
);

-- What was found otherwise than the policy wants after it had been in place. righted_at
-- is 0 while it is so.
CREATE TABLE drift (
  seq {{identity}},
  device_id TEXT NOT NULL,
  kind TEXT NOT NULL,
  subject TEXT NOT NULL,
  found_at BIGINT NOT NULL,
  righted_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX drift_open ON drift (device_id, kind, subject) WHERE righted_at = 0;
CREATE INDEX drift_device ON drift (device_id, seq);
CREATE INDEX drift_found ON drift (found_at);
