-- The posture of each device as it was judged last. A row that is written again gets a new
-- seq, so that whoever keeps a copy can follow; an empty body tells that the device is gone.
CREATE TABLE posture (
  seq {{identity}},
  device_id TEXT NOT NULL,
  changed_at BIGINT NOT NULL,
  body TEXT NOT NULL
);
CREATE UNIQUE INDEX posture_device ON posture (device_id);

-- Every change of a posture, kept for good, without names of people. An empty body tells that
-- the device was deleted.
CREATE TABLE posture_change (
  seq {{identity}},
  device_id TEXT NOT NULL,
  at BIGINT NOT NULL,
  body TEXT NOT NULL
);
CREATE INDEX posture_change_device ON posture_change (device_id, seq);
CREATE INDEX posture_change_at ON posture_change (at);

-- Devices of which something changed that their posture may follow from; tried_at is when
-- judging one failed last. A device may stand here several times: units of work that wrote
-- of one device would else wait for each other here, and for the device itself elsewhere.
CREATE TABLE posture_due (
  seq {{identity}},
  device_id TEXT NOT NULL,
  tried_at BIGINT NOT NULL
);
CREATE INDEX posture_due_device ON posture_due (device_id);
CREATE INDEX posture_due_tried ON posture_due (tried_at, seq);
INSERT INTO posture_due (device_id, tried_at) SELECT id, 0 FROM device;

UPDATE verdict SET state = 'retired' WHERE state = 'gone';
UPDATE verdict SET then_state = 'retired' WHERE then_state = 'gone';
