-- The audit log. Rows are added and given their place in the tree, never deleted.
-- lookup columns are blind indexes: HMACs of ids under a key that is not here. The key
-- columns have no index: only forgetting a person looks there, and every deed writes.
CREATE TABLE audit_entry (
  id {{identity}},
  at BIGINT NOT NULL,
  action TEXT NOT NULL,
  leaf TEXT NOT NULL,
  who_key TEXT NOT NULL,
  who_lookup TEXT NOT NULL,
  who {{blob}} NOT NULL,
  what_key TEXT NOT NULL,
  what_lookup TEXT NOT NULL,
  what {{blob}} NOT NULL,
  tree_index BIGINT NOT NULL
);
CREATE UNIQUE INDEX audit_tree ON audit_entry (tree_index) WHERE tree_index >= 0;
CREATE INDEX audit_unsequenced ON audit_entry (id) WHERE tree_index < 0;
CREATE INDEX audit_action ON audit_entry (action, id);
CREATE INDEX audit_who ON audit_entry (who_lookup, id) WHERE who_lookup <> '';
CREATE INDEX audit_what ON audit_entry (what_lookup, id) WHERE what_lookup <> '';

-- Deleting a row here is what erases a person's part of the log.
CREATE TABLE audit_key (
  person_id TEXT PRIMARY KEY,
  id TEXT NOT NULL,
  sealed {{blob}} NOT NULL
);
CREATE UNIQUE INDEX audit_key_id ON audit_key (id);

CREATE TABLE audit_hash (
  position BIGINT PRIMARY KEY,
  hash {{blob}} NOT NULL
);

CREATE TABLE audit_checkpoint (
  size BIGINT PRIMARY KEY,
  note TEXT NOT NULL,
  at BIGINT NOT NULL
);
