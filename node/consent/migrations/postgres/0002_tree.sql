-- +goose Up

-- said is the digest of the message that the slot states.
ALTER TABLE consent_slot ADD COLUMN said TEXT NOT NULL DEFAULT '';
UPDATE consent_slot SET said = grant_digest;
UPDATE consent_slot SET said = coalesce((SELECT m.digest FROM consent_message m WHERE m.trial = consent_slot.trial
    AND m.participant = consent_slot.participant AND m.kind <> 'consent.grant' ORDER BY m.issued_at DESC, m.digest LIMIT 1), said) WHERE status = 2;

-- One row is a slot whose leaf does not state yet what stands in it.
CREATE TABLE consent_pending (
    trial TEXT NOT NULL,
    slot  BIGINT NOT NULL,
    PRIMARY KEY (trial, slot)
);
INSERT INTO consent_pending (trial, slot) SELECT trial, slot FROM consent_slot WHERE trial <> 'site-research';

-- One row is a leaf of the consent tree as it was last published, of a participant or
-- kept for one. changes counts how often it was. said is empty, and status 0, of one that
-- is nobody's.
CREATE TABLE consent_leaf (
    trial   TEXT NOT NULL,
    slot    BIGINT NOT NULL,
    changes BIGINT NOT NULL,
    said    TEXT NOT NULL,
    scopes  BIGINT NOT NULL,
    status  BIGINT NOT NULL,
    from_at BIGINT NOT NULL,
    to_at   BIGINT NOT NULL,
    PRIMARY KEY (trial, slot)
);

-- One row is four siblings of the tree, 128 bytes: elements 4n to 4n+3 of a level, where
-- level 0 is the leaves. Groups that were never set are not there.
CREATE TABLE consent_group (
    trial  TEXT NOT NULL,
    level  BIGINT NOT NULL,
    number BIGINT NOT NULL,
    hashes BYTEA NOT NULL,
    PRIMARY KEY (trial, level, number)
);

-- One row is changes that this node signed. leaves is their list, until the hub says that
-- it recorded them: then ledger_index is where.
CREATE TABLE consent_changes (
    trial        TEXT NOT NULL,
    number       BIGINT NOT NULL,
    envelope     BYTEA NOT NULL,
    leaves       BYTEA,
    ledger_index BIGINT,
    PRIMARY KEY (trial, number)
);

-- One row is a leaf that somebody's message changed, by the message's digest.
CREATE TABLE consent_stated (
    trial  TEXT NOT NULL,
    said   TEXT NOT NULL,
    slot   BIGINT NOT NULL,
    number BIGINT NOT NULL,
    PRIMARY KEY (trial, said)
);
