-- Roles that somebody made; permissions is a list of words. The sites and the groups that a
-- person is bounded to are JSON lists; both empty: to nothing. Times are microseconds UTC;
-- 0 means never.
CREATE TABLE role (
  id TEXT PRIMARY KEY,
  name TEXT NOT NULL,
  name_key TEXT NOT NULL,
  description TEXT NOT NULL,
  permissions TEXT NOT NULL,
  changed_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX role_name ON role (name_key);

ALTER TABLE person ADD COLUMN scope_sites TEXT NOT NULL DEFAULT '';
ALTER TABLE person ADD COLUMN scope_groups TEXT NOT NULL DEFAULT '';
ALTER TABLE person ADD COLUMN erased_at BIGINT NOT NULL DEFAULT 0;
