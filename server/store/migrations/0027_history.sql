-- How long findings stood on devices, so that it can be told how soon a blocked app went. A
-- span with to_at 0 stands; the place is where the device belonged at last.
CREATE TABLE finding_span (
  device_id TEXT NOT NULL,
  code TEXT NOT NULL,
  subject TEXT NOT NULL,
  site TEXT NOT NULL,
  grp TEXT NOT NULL,
  platform TEXT NOT NULL,
  ownership TEXT NOT NULL,
  from_at BIGINT NOT NULL,
  to_at BIGINT NOT NULL,
  ended TEXT NOT NULL,
  PRIMARY KEY (device_id, code, subject, from_at)
);
CREATE INDEX finding_span_time ON finding_span (to_at, code, ended, subject, from_at, site, grp, platform, ownership);

-- The posture of every device at a midnight, UTC: what was at a past time is the frame before
-- it and the changes since.
CREATE TABLE posture_frame (
  at BIGINT PRIMARY KEY,
  body {{blob}} NOT NULL
);

-- What the devices came to at the end of each day, by what they are divided by.
CREATE TABLE posture_day (
  dim TEXT NOT NULL,
  key TEXT NOT NULL,
  day BIGINT NOT NULL,
  devices BIGINT NOT NULL,
  compliant BIGINT NOT NULL,
  pending BIGINT NOT NULL,
  in_grace BIGINT NOT NULL,
  unknown BIGINT NOT NULL,
  non_compliant BIGINT NOT NULL,
  lost BIGINT NOT NULL,
  blocked BIGINT NOT NULL,
  app_ready BIGINT NOT NULL,
  app_want BIGINT NOT NULL,
  not_seen_7 BIGINT NOT NULL,
  not_seen_30 BIGINT NOT NULL,
  old_os BIGINT NOT NULL,
  PRIMARY KEY (dim, key, day)
);
