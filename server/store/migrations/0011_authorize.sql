-- Whether a device complies, as the loop judged it last: state turns into then_state at
-- until_at if nothing happens before; an empty then_state has to be judged again by then.
CREATE TABLE verdict (
  device_id TEXT PRIMARY KEY,
  state TEXT NOT NULL,
  code TEXT NOT NULL,
  until_at BIGINT NOT NULL,
  then_state TEXT NOT NULL,
  then_code TEXT NOT NULL
);

-- When the holder of a certificate was last let in and refused, and the last outcome.
CREATE TABLE certificate_use (
  serial TEXT PRIMARY KEY,
  used_at BIGINT NOT NULL,
  refused_at BIGINT NOT NULL,
  reason TEXT NOT NULL
);

-- Devices that are enrolled already are judged at the next opportunity.
UPDATE device SET check_at = 1 WHERE state = 'managed';
