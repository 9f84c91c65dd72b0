-- Invitations and the one-time challenges of their profiles.
-- Times are microseconds UTC; 0 means never. Ids sort by time.
CREATE TABLE invitation (
  id TEXT PRIMARY KEY,
  token_hash TEXT NOT NULL,
  name TEXT NOT NULL,
  email TEXT NOT NULL,
  device_name TEXT NOT NULL,
  platform TEXT NOT NULL,
  ownership TEXT NOT NULL,
  grp TEXT NOT NULL,
  supervised BOOLEAN NOT NULL,
  device_id TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  created_by TEXT NOT NULL,
  expires_at BIGINT NOT NULL,
  used_at BIGINT NOT NULL,
  used_by TEXT NOT NULL,
  revoked_at BIGINT NOT NULL,
  certificates INTEGER NOT NULL
);
CREATE UNIQUE INDEX invitation_token ON invitation (token_hash);

CREATE TABLE challenge (
  hash TEXT PRIMARY KEY,
  invitation TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  expires_at BIGINT NOT NULL,
  redeemed_at BIGINT NOT NULL
);
-- An invitation has one challenge that may still be redeemed.
CREATE UNIQUE INDEX challenge_open ON challenge (invitation) WHERE redeemed_at = 0;
