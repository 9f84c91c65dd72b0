-- Signing in: what a session is of, second factors, passkeys, people whom a provider of
-- sign-in vouches for, and what a directory says of them. Times are microseconds UTC; 0 means
-- never.
ALTER TABLE session ADD COLUMN id TEXT NOT NULL DEFAULT '';
ALTER TABLE session ADD COLUMN person_id TEXT NOT NULL DEFAULT '';
ALTER TABLE session ADD COLUMN how TEXT NOT NULL DEFAULT '';
ALTER TABLE session ADD COLUMN provider TEXT NOT NULL DEFAULT '';
ALTER TABLE session ADD COLUMN subject TEXT NOT NULL DEFAULT '';
ALTER TABLE session ADD COLUMN provider_session TEXT NOT NULL DEFAULT '';
ALTER TABLE session ADD COLUMN address TEXT NOT NULL DEFAULT '';
ALTER TABLE session ADD COLUMN browser TEXT NOT NULL DEFAULT '';
ALTER TABLE session ADD COLUMN begun_at BIGINT NOT NULL DEFAULT 0;
ALTER TABLE session ADD COLUMN seen_at BIGINT NOT NULL DEFAULT 0;
ALTER TABLE session ADD COLUMN was_hash TEXT NOT NULL DEFAULT '';
ALTER TABLE session ADD COLUMN rotated_at BIGINT NOT NULL DEFAULT 0;
-- The refresh token of the provider, sealed; when it was last asked, and last answered.
ALTER TABLE session ADD COLUMN refresh TEXT NOT NULL DEFAULT '';
ALTER TABLE session ADD COLUMN checked_at BIGINT NOT NULL DEFAULT 0;
ALTER TABLE session ADD COLUMN answered_at BIGINT NOT NULL DEFAULT 0;
CREATE INDEX session_id ON session (id) WHERE id <> '';
CREATE INDEX session_person ON session (person_id, begun_at) WHERE person_id <> '';
CREATE INDEX session_was ON session (was_hash) WHERE was_hash <> '';
CREATE INDEX session_checked ON session (checked_at) WHERE provider <> '';
-- Sessions of before do not know whose they are, so nobody could end them.
DELETE FROM session;

-- How somebody last signed in, and whether they may by passphrase where a provider is set up.
CREATE TABLE person_sign_in (
  person_id TEXT PRIMARY KEY,
  last_at BIGINT NOT NULL,
  last_how TEXT NOT NULL,
  break_glass BOOLEAN NOT NULL
);

-- One authenticator app for each person: its secret is sealed, and a step of time is used once.
CREATE TABLE sign_in_totp (
  person_id TEXT PRIMARY KEY,
  secret {{blob}} NOT NULL,
  used_step BIGINT NOT NULL,
  confirmed_at BIGINT NOT NULL
);
CREATE TABLE sign_in_recovery (
  person_id TEXT NOT NULL,
  hash TEXT NOT NULL,
  PRIMARY KEY (person_id, hash)
);
CREATE TABLE sign_in_passkey (
  key_id TEXT PRIMARY KEY,
  person_id TEXT NOT NULL,
  name TEXT NOT NULL,
  public_key {{blob}} NOT NULL,
  counter BIGINT NOT NULL,
  created_at BIGINT NOT NULL,
  used_at BIGINT NOT NULL
);
CREATE INDEX sign_in_passkey_person ON sign_in_passkey (person_id);

-- A person as a provider knows them: never by e-mail address, which changes and is given to
-- somebody else.
CREATE TABLE provided_person (
  issuer TEXT NOT NULL,
  subject TEXT NOT NULL,
  person_id TEXT NOT NULL,
  provider TEXT NOT NULL,
  external_id TEXT NOT NULL,
  PRIMARY KEY (issuer, subject)
);
CREATE INDEX provided_person_person ON provided_person (person_id);
CREATE INDEX provided_person_external ON provided_person (provider, external_id);

-- What a directory says by SCIM.
CREATE TABLE directory_user (
  id TEXT PRIMARY KEY,
  provider TEXT NOT NULL,
  user_name TEXT NOT NULL,
  name_key TEXT NOT NULL,
  external_id TEXT NOT NULL,
  active BOOLEAN NOT NULL,
  data TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX directory_user_name ON directory_user (provider, name_key);
CREATE INDEX directory_user_external ON directory_user (provider, external_id);
CREATE TABLE directory_group (
  id TEXT PRIMARY KEY,
  provider TEXT NOT NULL,
  name TEXT NOT NULL,
  external_id TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL
);
CREATE TABLE directory_member (
  group_id TEXT NOT NULL,
  user_id TEXT NOT NULL,
  PRIMARY KEY (group_id, user_id)
);
CREATE INDEX directory_member_user ON directory_member (user_id);
