-- The invitations that a new one for the same device takes the place of.
CREATE INDEX invitation_serial ON invitation (serial) WHERE used_at = 0 AND serial <> '';
