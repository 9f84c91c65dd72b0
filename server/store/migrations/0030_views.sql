-- Saved views: filters of lists under names. query is the words of an address.
CREATE TABLE saved_view (
  id TEXT PRIMARY KEY,
  person TEXT NOT NULL,
  name TEXT NOT NULL,
  query TEXT NOT NULL,
  shared BOOLEAN NOT NULL,
  created_at BIGINT NOT NULL
);
CREATE INDEX saved_view_person ON saved_view (person, name);
CREATE INDEX saved_view_shared ON saved_view (name) WHERE shared;
