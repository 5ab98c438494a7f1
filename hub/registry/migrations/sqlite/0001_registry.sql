-- +goose Up

-- One row: how far the raft log has been applied to this file.
CREATE TABLE registry_applied (
    only_row  INTEGER PRIMARY KEY CHECK (only_row = 1),
    log_index INTEGER NOT NULL
);
INSERT INTO registry_applied (only_row, log_index) VALUES (1, 0);

-- One row is a public document, by the SHA-256 of its canonical bytes.
CREATE TABLE document (
    digest TEXT PRIMARY KEY,
    bytes  BLOB NOT NULL
) WITHOUT ROWID;

-- One row: where proofs are logged and checkpoints anchored.
CREATE TABLE venue (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    document TEXT NOT NULL
);

-- One row is a name kept for a node that was invited.
CREATE TABLE invitation (
    name         TEXT PRIMARY KEY,
    organization TEXT NOT NULL
) WITHOUT ROWID;

-- One row is a node that was admitted. Times are Unix seconds throughout.
CREATE TABLE node (
    did          TEXT PRIMARY KEY,
    name         TEXT NOT NULL UNIQUE,
    organization TEXT NOT NULL,
    enrolled_at  INTEGER NOT NULL,
    revoked_at   INTEGER,
    reason       TEXT NOT NULL DEFAULT ''
) WITHOUT ROWID;

-- One row is a one-time enrollment token that was used, by the SHA-256 of its id.
CREATE TABLE used_token (
    hash    TEXT PRIMARY KEY,
    used_at INTEGER NOT NULL
) WITHOUT ROWID;

-- One row is a certificate the authority issued.
CREATE TABLE certificate (
    serial     TEXT PRIMARY KEY,
    did        TEXT NOT NULL,
    not_after  INTEGER NOT NULL,
    revoked_at INTEGER
) WITHOUT ROWID;
CREATE INDEX certificate_did ON certificate (did);

-- One row is a bearer token of the API, by the SHA-256 of its text.
CREATE TABLE api_token (
    hash       TEXT PRIMARY KEY,
    holder     TEXT NOT NULL,
    role       TEXT NOT NULL,
    issued_at  INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    revoked_at INTEGER
) WITHOUT ROWID;

-- One row is a circuit whose proofs are accepted, by its verifying key's SHA-256.
CREATE TABLE circuit (
    digest   TEXT PRIMARY KEY,
    shape    TEXT NOT NULL UNIQUE,
    document TEXT NOT NULL
) WITHOUT ROWID;

-- One row is a trial.
CREATE TABLE trial (
    id           TEXT PRIMARY KEY,
    document     TEXT NOT NULL,
    ledger_index INTEGER NOT NULL
) WITHOUT ROWID;

-- One row is a node's published commitment to its consents of a trial.
CREATE TABLE epoch (
    digest       TEXT PRIMARY KEY,
    document     TEXT NOT NULL,
    trial        TEXT NOT NULL,
    node         TEXT NOT NULL,
    number       INTEGER NOT NULL,
    recorded_at  INTEGER NOT NULL,
    ledger_index INTEGER NOT NULL,
    UNIQUE (trial, node, number)
) WITHOUT ROWID;

-- One row is a question. question is the digest of what is asked, whoever asks.
CREATE TABLE question (
    id              TEXT PRIMARY KEY,
    document        TEXT NOT NULL,
    trial           TEXT NOT NULL,
    question        TEXT NOT NULL,
    researcher      TEXT NOT NULL,
    state           TEXT NOT NULL,
    asked_at        INTEGER NOT NULL,
    deadline        INTEGER NOT NULL,
    ledger_index    INTEGER NOT NULL,
    result_document TEXT NOT NULL DEFAULT '',
    result_index    INTEGER,
    proofs_due      INTEGER NOT NULL DEFAULT 0 -- nodes that answered; 0 for what repeats an answer
) WITHOUT ROWID;
CREATE INDEX question_state ON question (state, asked_at);
CREATE INDEX question_same ON question (question, state);

-- One row is a node's signed answer to one step of a question; the first counts.
CREATE TABLE answer (
    query    TEXT NOT NULL,
    step     TEXT NOT NULL,
    node     TEXT NOT NULL,
    envelope BLOB NOT NULL,
    PRIMARY KEY (query, step, node)
) WITHOUT ROWID;

-- One row is the set of nodes with which a question goes on after a step.
CREATE TABLE step_closed (
    query TEXT NOT NULL,
    step  TEXT NOT NULL,
    nodes TEXT NOT NULL,
    PRIMARY KEY (query, step)
) WITHOUT ROWID;

-- One row is a node's access proof that was checked.
CREATE TABLE access (
    query        TEXT NOT NULL,
    node         TEXT NOT NULL,
    document     TEXT NOT NULL,
    ledger_index INTEGER NOT NULL,
    tx           TEXT NOT NULL DEFAULT '',
    block        INTEGER NOT NULL DEFAULT 0,
    gas          INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (query, node)
) WITHOUT ROWID;

-- One row is a checkpoint that the chain holds.
CREATE TABLE anchor (
    size     INTEGER PRIMARY KEY,
    document TEXT NOT NULL
);
