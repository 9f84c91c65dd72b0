-- The journal of dangerous deeds: every row carries a MAC over itself and the row before,
-- under a key that is not in the database. Rows are only ever added.
CREATE TABLE brake_journal (
  seq BIGINT NOT NULL PRIMARY KEY,
  event TEXT NOT NULL,
  kind TEXT NOT NULL,
  at BIGINT NOT NULL,
  order_id TEXT NOT NULL,
  device_id TEXT NOT NULL,
  enrolment_id TEXT NOT NULL,
  site TEXT NOT NULL,
  person TEXT NOT NULL,
  campaign BOOLEAN NOT NULL,
  hash TEXT NOT NULL,
  until_at BIGINT NOT NULL,
  note TEXT NOT NULL,
  mac {{blob}} NOT NULL
);
