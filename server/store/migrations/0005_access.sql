-- People, what they prove themselves with, and their sessions. Of every secret only
-- a hash is kept. Times are microseconds UTC; 0 means never.
CREATE TABLE person (
  id TEXT PRIMARY KEY,
  name TEXT NOT NULL,
  name_key TEXT NOT NULL,
  email TEXT NOT NULL,
  roles TEXT NOT NULL,
  passphrase TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  activated_at BIGINT NOT NULL,
  disabled_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX person_name ON person (name_key);

CREATE TABLE access_token (
  id TEXT PRIMARY KEY,
  person_id TEXT NOT NULL,
  name TEXT NOT NULL,
  hash TEXT NOT NULL,
  scopes TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  expires_at BIGINT NOT NULL,
  last_used_at BIGINT NOT NULL,
  revoked_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX access_token_hash ON access_token (hash);
CREATE INDEX access_token_person ON access_token (person_id, id);

CREATE TABLE access_link (
  hash TEXT PRIMARY KEY,
  person_id TEXT NOT NULL,
  kind TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  expires_at BIGINT NOT NULL
);
CREATE INDEX access_link_person ON access_link (person_id, kind);
CREATE INDEX access_link_expires ON access_link (expires_at);

CREATE TABLE access_attempt (
  key TEXT PRIMARY KEY,
  failures INTEGER NOT NULL,
  last_at BIGINT NOT NULL
);
CREATE INDEX access_attempt_last ON access_attempt (last_at);

CREATE TABLE session (
  hash TEXT PRIMARY KEY,
  data {{blob}} NOT NULL,
  expires_at BIGINT NOT NULL
);
CREATE INDEX session_expires ON session (expires_at);
