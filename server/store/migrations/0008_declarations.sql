-- Compiled results with their variables, each under its content's hash, so that devices
-- that share one share its row. generation is the newest version of the policy that makes
-- it, used_at when that became known.
CREATE TABLE artifact (
  hash TEXT PRIMARY KEY,
  kind TEXT NOT NULL,
  body {{blob}} NOT NULL,
  generation BIGINT NOT NULL,
  created_at BIGINT NOT NULL,
  used_at BIGINT NOT NULL
);
CREATE INDEX artifact_used ON artifact (used_at);

-- The last status report of each enrolment as it came, cut where it is long.
CREATE TABLE status_report (
  enrolment_id TEXT PRIMARY KEY,
  received_at BIGINT NOT NULL,
  full_report BOOLEAN NOT NULL,
  size BIGINT NOT NULL,
  body {{blob}} NOT NULL
);
