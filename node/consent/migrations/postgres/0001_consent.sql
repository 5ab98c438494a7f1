-- +goose Up

-- One row is a signed message about consent as it was received. Never changed.
CREATE TABLE consent_message (
    digest      TEXT PRIMARY KEY,
    trial       TEXT NOT NULL,
    person_id   BIGINT NOT NULL,
    participant TEXT NOT NULL,
    kind        TEXT NOT NULL,
    issued_at   BIGINT NOT NULL,
    received_at BIGINT NOT NULL,
    envelope    BYTEA NOT NULL
);
CREATE INDEX consent_message_participant ON consent_message (trial, participant, issued_at);

-- One row is a participant's place in the consent tree of a trial and what
-- stands there now. Slots are given once and never reused. scopes is a bit set,
-- status 1 active or 2 withdrawn, times are Unix seconds.
CREATE TABLE consent_slot (
    trial       TEXT NOT NULL,
    slot        BIGINT NOT NULL,
    person_id   BIGINT NOT NULL,
    participant TEXT NOT NULL,
    grant_digest TEXT NOT NULL,
    scopes      BIGINT NOT NULL,
    status      BIGINT NOT NULL,
    from_at     BIGINT NOT NULL,
    to_at       BIGINT NOT NULL,
    PRIMARY KEY (trial, slot),
    UNIQUE (trial, person_id),
    UNIQUE (trial, participant)
);

-- One row is a commitment to the consents of a trial. ledger_index is null
-- until the hub has recorded it; openings are the private halves of its shards.
CREATE TABLE consent_epoch (
    trial        TEXT NOT NULL,
    number       BIGINT NOT NULL,
    digest       TEXT NOT NULL UNIQUE,
    envelope     BYTEA NOT NULL,
    openings     BYTEA NOT NULL,
    ledger_index BIGINT,
    PRIMARY KEY (trial, number)
);
