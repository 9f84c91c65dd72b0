-- Several issuers under one root: each certificate, and each revocation list, is of one
-- of them. All that there are came from the first. A list's id is its issuer's number.
ALTER TABLE certificate ADD COLUMN issuer INTEGER NOT NULL DEFAULT 1;
ALTER TABLE certificate_list ADD COLUMN entries INTEGER NOT NULL DEFAULT 0;

-- A list is made from this index alone, and so are the numbers that operators watch.
DROP INDEX certificate_revoked;
CREATE INDEX certificate_revoked ON certificate (issuer, not_after, serial, revoked_at, reason) WHERE revoked_at > 0;
CREATE INDEX certificate_kind ON certificate (issuer, kind, revoked_at, not_after);
CREATE INDEX certificate_expiry ON certificate (kind, not_after) WHERE revoked_at = 0;
