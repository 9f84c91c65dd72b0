-- Seals over changes of postures: the root of a Merkle tree over a run of them stands in the
-- audit log, under the subject "seal-" and the id.
CREATE TABLE posture_seal (
  id {{identity}},
  size BIGINT NOT NULL,
  root TEXT NOT NULL,
  first_at BIGINT NOT NULL,
  last_at BIGINT NOT NULL,
  sealed_at BIGINT NOT NULL
);

-- Which changes a seal is over, in order of seq, each with the change of the same device
-- before it: that one is named in what is hashed, so that none can be left out in between.
CREATE TABLE posture_leaf (
  seq BIGINT PRIMARY KEY,
  seal BIGINT NOT NULL,
  prev BIGINT NOT NULL
);
CREATE INDEX posture_leaf_seal ON posture_leaf (seal, seq);
