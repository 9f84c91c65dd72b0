-- Who has read what the organisation tells staff, and which text that was. A text is named by
-- its content; acknowledgements of a person are deleted when the person is forgotten.
CREATE TABLE notice_text (
  version TEXT PRIMARY KEY,
  text TEXT NOT NULL,
  first_at BIGINT NOT NULL
);
CREATE TABLE notice_acknowledgement (
  person TEXT NOT NULL,
  version TEXT NOT NULL,
  name TEXT NOT NULL,
  email TEXT NOT NULL,
  at BIGINT NOT NULL,
  PRIMARY KEY (person, version)
);
CREATE INDEX notice_acknowledgement_version ON notice_acknowledgement (version, at);

-- A member of staff finds their own devices by their address.
CREATE INDEX device_email ON device (LOWER(email)) WHERE email <> '';
