-- +goose Up

-- terms is the digest of the hub's demands and the limits that apply. What was decided
-- before they were told apart is for none that come: it is judged anew.
ALTER TABLE approval_request ADD COLUMN terms TEXT NOT NULL DEFAULT '';
ALTER TABLE approval_decision RENAME TO approval_decision_before;
DROP INDEX approval_decision_by_question;
CREATE TABLE approval_decision (
    query      TEXT NOT NULL,
    policy     TEXT NOT NULL,
    terms      TEXT NOT NULL,
    question   TEXT NOT NULL,
    trial      TEXT NOT NULL,
    researcher TEXT NOT NULL,
    decision   BYTEA NOT NULL,
    input      BYTEA NOT NULL,
    request    BYTEA NOT NULL,
    until      BIGINT NOT NULL,
    decided_at BIGINT NOT NULL,
    PRIMARY KEY (query, policy, terms)
);
INSERT INTO approval_decision SELECT query, policy, '', question, trial, researcher, decision, input, request, until, decided_at
    FROM approval_decision_before;
DROP TABLE approval_decision_before;
CREATE INDEX approval_decision_by_question ON approval_decision (question);
