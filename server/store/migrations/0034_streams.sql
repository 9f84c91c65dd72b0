-- How far each stream of the audit log to an organisation's own log system has come.
CREATE TABLE stream (
  name TEXT PRIMARY KEY,
  next_index BIGINT NOT NULL,
  sent_at BIGINT NOT NULL,
  last_error TEXT NOT NULL,
  failed_at BIGINT NOT NULL,
  leased_until BIGINT NOT NULL
);
