-- What a lost-device case tells beyond its report: how the reporter was known, drills, the
-- 72 hours of the breach assessment and what was decided, what was known of the device, the
-- steps that time brought, and the recovery codes by which holders report.
ALTER TABLE lost_case ADD COLUMN identified TEXT NOT NULL DEFAULT 'not recorded';
ALTER TABLE lost_case ADD COLUMN data_open TEXT NOT NULL DEFAULT '';
ALTER TABLE lost_case ADD COLUMN drill TEXT NOT NULL DEFAULT '';
ALTER TABLE lost_case ADD COLUMN aware_at BIGINT NOT NULL DEFAULT 0;
ALTER TABLE lost_case ADD COLUMN snapshot TEXT NOT NULL DEFAULT '';
UPDATE lost_case SET aware_at = reported_at;
CREATE INDEX lost_case_drill ON lost_case (seq) WHERE drill <> '';
CREATE INDEX lost_case_live ON lost_case (seq) WHERE state <> 'closed';

ALTER TABLE case_event ADD COLUMN detail TEXT NOT NULL DEFAULT '';

-- A step that is taken once for a case, whichever copy of the server takes it.
CREATE TABLE case_step (
  case_id TEXT NOT NULL,
  step TEXT NOT NULL,
  at BIGINT NOT NULL,
  PRIMARY KEY (case_id, step)
);
-- Nobody is reminded of, or proposed an erase for, what ended before there was a clock.
INSERT INTO case_step (case_id, step, at) SELECT id, 'remind:72', reported_at FROM lost_case WHERE state <> 'open';

-- Decisions are added and never changed.
CREATE TABLE case_decision (
  seq {{identity}},
  case_id TEXT NOT NULL,
  reportable BOOLEAN NOT NULL,
  reasoning TEXT NOT NULL CHECK (reasoning <> ''),
  reference TEXT NOT NULL,
  link TEXT NOT NULL,
  person TEXT NOT NULL CHECK (person <> ''),
  name TEXT NOT NULL,
  at BIGINT NOT NULL,
  assessed TEXT NOT NULL
);
CREATE INDEX case_decision_case ON case_decision (case_id, seq);

-- Of a recovery code only the hash is kept, and of its holder too.
CREATE TABLE recovery_code (
  device_id TEXT PRIMARY KEY,
  hash TEXT NOT NULL,
  holder TEXT NOT NULL,
  made_at BIGINT NOT NULL,
  made_by TEXT NOT NULL,
  sealed {{blob}} NOT NULL
);
CREATE UNIQUE INDEX recovery_code_hash ON recovery_code (hash);

-- How many codes were tried, by who tried them (hashed; empty for everybody) and slot of time.
CREATE TABLE recovery_try (
  who TEXT NOT NULL,
  slot BIGINT NOT NULL,
  tries BIGINT NOT NULL,
  PRIMARY KEY (who, slot)
);
CREATE INDEX recovery_try_slot ON recovery_try (slot);

-- The brake keeps its own journal now.
DROP TABLE brake_use;
