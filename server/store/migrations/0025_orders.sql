-- Commands may be held back by the guard and may expire.
ALTER TABLE command ADD COLUMN expires_at BIGINT NOT NULL DEFAULT 0;
CREATE INDEX command_expires ON command (expires_at) WHERE pending AND expires_at > 0;
CREATE INDEX command_held ON command (enrolment_id) WHERE state = 'held';

-- Orders are signed by two people with their passkeys. What was approved otherwise, and
-- not fetched by its device, is taken back: ask for it anew.
UPDATE command SET pending = FALSE, deferred = FALSE, state = 'cancelled', answered_at = created_at, sealed = CAST('-' AS {{blob}}),
  error = 'approved before orders were signed with passkeys: ask for it anew'
  WHERE pending AND order_id <> '' AND state IN ('waiting', 'not now');
UPDATE orders SET state = 'expired', closed_name = 'Ward', closed_at = created_at, closed_reason = 'asked for before orders were signed with passkeys: ask for it anew'
  WHERE state = 'requested';

-- options holds every option as JSON that SQL does not look into; an order may be issued
-- from due_at on, and 0 stands for one that waits for nothing.
ALTER TABLE orders ADD COLUMN options TEXT NOT NULL DEFAULT '{}';
ALTER TABLE orders ADD COLUMN due_at BIGINT NOT NULL DEFAULT 0;
UPDATE orders SET options = '{"preserve_data_plan":' || CASE WHEN preserve_data_plan THEN 'true' ELSE 'false' END
  || ',"disallow_proximity_setup":' || CASE WHEN disallow_proximity_setup THEN 'true' ELSE 'false' END || '}';
ALTER TABLE orders DROP COLUMN preserve_data_plan;
ALTER TABLE orders DROP COLUMN disallow_proximity_setup;
CREATE UNIQUE INDEX orders_hash ON orders (id, hash);
CREATE INDEX orders_ready ON orders (due_at) WHERE due_at > 0;

ALTER TABLE order_target ADD COLUMN issued_at BIGINT NOT NULL DEFAULT 0;
CREATE INDEX order_target_enrolment ON order_target (order_id, enrolment_id);

-- The database itself refuses an approval for another hash, and a second one by the same
-- person or by another account of the same human being. That two approvals stand here
-- proves nothing: the engine verifies each signature, at every hand-out.
CREATE TABLE order_approval_before AS SELECT order_id, hash, person, name, at FROM order_approval;
DROP TABLE order_approval;
DROP INDEX orders_approvable;
CREATE TABLE order_approval (
  order_id TEXT NOT NULL,
  hash TEXT NOT NULL,
  person TEXT NOT NULL CHECK (person <> ''),
  name TEXT NOT NULL,
  subject TEXT NOT NULL,
  approver TEXT NOT NULL,
  assertion TEXT NOT NULL,
  glass BOOLEAN NOT NULL,
  at BIGINT NOT NULL,
  PRIMARY KEY (order_id, person),
  FOREIGN KEY (order_id, hash) REFERENCES orders (id, hash)
);
CREATE UNIQUE INDEX order_approval_subject ON order_approval (order_id, subject);
CREATE INDEX order_approval_glass ON order_approval (at) WHERE glass;
INSERT INTO order_approval (order_id, hash, person, name, subject, approver, assertion, glass, at)
  SELECT order_id, hash, person, name, '', '', '{}', FALSE, at FROM order_approval_before;
DROP TABLE order_approval_before;
