-- +goose Up

-- One row is a question the hub brought. ask is what came, by digest of all of
-- it; step is how far the question got here; secret is for masking and is
-- erased with the row. access is the envelope of the proof once it is made.
CREATE TABLE peer_question (
    query  TEXT PRIMARY KEY,
    digest TEXT NOT NULL,
    ask    BYTEA NOT NULL,
    answer BYTEA NOT NULL,
    step   BIGINT NOT NULL,
    secret BYTEA NOT NULL,
    access BYTEA
);

-- One row is a trial that a question of this node's was about, with the digest
-- of the design it came under first, which is the one for good.
CREATE TABLE peer_trial (
    trial  TEXT PRIMARY KEY,
    design TEXT NOT NULL
);
