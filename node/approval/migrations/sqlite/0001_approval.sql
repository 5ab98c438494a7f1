-- +goose Up

-- One row is what a policy said about a question. Digests are 64 hexadecimal
-- digits, times Unix seconds. decision, input and request are JSON: the rule's
-- value, what it was given and the envelope that the researcher signed.
CREATE TABLE approval_decision (
    query      TEXT NOT NULL,
    policy     TEXT NOT NULL,      -- digest of the bundle
    question   TEXT NOT NULL,      -- digest of what is asked, whoever asks it
    trial      TEXT NOT NULL,
    researcher TEXT NOT NULL,
    decision   BLOB NOT NULL,
    input      BLOB NOT NULL,
    request    BLOB NOT NULL,
    until      INTEGER NOT NULL,   -- how long the hub brings the question again
    decided_at INTEGER NOT NULL,
    PRIMARY KEY (query, policy)
);
CREATE INDEX approval_decision_by_question ON approval_decision (question);

-- One row is a question that waits, or waited, for a person at a gate.
CREATE TABLE approval_request (
    id         TEXT NOT NULL PRIMARY KEY, -- digest over node, query, gate, policy and numbers
    query      TEXT NOT NULL,
    policy     TEXT NOT NULL,
    gate       TEXT NOT NULL,             -- run or release
    numbers    TEXT NOT NULL,             -- digest of the released numbers at the gate release
    asked_at   INTEGER NOT NULL,
    verdict    BLOB,                      -- signed envelope; null while the question waits
    signer     TEXT NOT NULL,             -- of the verdict
    approved   INTEGER NOT NULL,          -- 1 or 0, of the verdict
    decided_at INTEGER NOT NULL,
    sent_at    INTEGER NOT NULL           -- when the node answered by it; 0 before
);
CREATE INDEX approval_request_by_query ON approval_request (query);
