-- What the people on call are told: one row for each message and recipient. A row waits
-- while it is neither delivered nor given up. channel is email, webhook/NAME or none. A
-- message told again under the same id makes no row that is there already.
CREATE TABLE notification (
  id TEXT PRIMARY KEY,
  message_id TEXT NOT NULL,
  channel TEXT NOT NULL,
  recipient TEXT NOT NULL,
  topic TEXT NOT NULL,
  subject TEXT NOT NULL,
  body TEXT NOT NULL,
  link TEXT NOT NULL,
  order_id TEXT NOT NULL,
  case_id TEXT NOT NULL,
  device_id TEXT NOT NULL,
  urgent BOOLEAN NOT NULL,
  everyone BOOLEAN NOT NULL,
  happened_at BIGINT NOT NULL,
  made_at BIGINT NOT NULL,
  since_at BIGINT NOT NULL,
  due_at BIGINT NOT NULL,
  leased_until BIGINT NOT NULL,
  attempts BIGINT NOT NULL,
  last_error TEXT NOT NULL,
  delivered_at BIGINT NOT NULL,
  given_up_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX notification_once ON notification (message_id, channel, recipient);
CREATE INDEX notification_due ON notification (channel, due_at) WHERE delivered_at = 0 AND given_up_at = 0;
CREATE INDEX notification_made ON notification (made_at);
