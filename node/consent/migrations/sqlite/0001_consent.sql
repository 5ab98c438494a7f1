-- +goose Up

-- One row is a signed message about consent as it was received. Never changed.
CREATE TABLE consent_message (
    digest      TEXT PRIMARY KEY,
    trial       TEXT NOT NULL,
    person_id   INTEGER NOT NULL,
    participant TEXT NOT NULL,
    kind        TEXT NOT NULL,
    issued_at   INTEGER NOT NULL,
    received_at INTEGER NOT NULL,
    envelope    BLOB NOT NULL
);
CREATE INDEX consent_message_participant ON consent_message (trial, participant, issued_at);

-- One row is a participant's place in the consent tree of a trial and what
-- stands there now. Slots are given once and never reused. scopes is a bit set,
-- status 1 active or 2 withdrawn, times are Unix seconds.
CREATE TABLE consent_slot (
    trial       TEXT NOT NULL,
    slot        INTEGER NOT NULL,
    person_id   INTEGER NOT NULL,
    participant TEXT NOT NULL,
    grant_digest TEXT NOT NULL,
    scopes      INTEGER NOT NULL,
    status      INTEGER NOT NULL,
    from_at     INTEGER NOT NULL,
    to_at       INTEGER NOT NULL,
    PRIMARY KEY (trial, slot),
    UNIQUE (trial, person_id),
    UNIQUE (trial, participant)
);

-- One row is what stood in the slots of one shard, by its SHA-256: the private
-- half of a proof. Epochs between which a shard did not change share its row.
CREATE TABLE consent_shard (
    digest TEXT PRIMARY KEY,
    slots  BLOB NOT NULL
);

-- One row is a commitment to the consents of a trial that this node signed.
-- shards name consent_shard, in order. ledger_index is null until the hub says
-- that it recorded the epoch; aside_at (Unix seconds) is when the hub had refused
-- it and another took its place, null for all others.
CREATE TABLE consent_epoch (
    digest       TEXT PRIMARY KEY,
    trial        TEXT NOT NULL,
    number       INTEGER NOT NULL,
    envelope     BLOB NOT NULL,
    shards       BLOB NOT NULL,
    ledger_index INTEGER,
    aside_at     INTEGER
);
CREATE UNIQUE INDEX consent_epoch_number ON consent_epoch (trial, number) WHERE aside_at IS NULL;
