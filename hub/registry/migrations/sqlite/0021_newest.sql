-- +goose Up

-- A node that connects is told of the newest question that it accepted.
CREATE INDEX question_newest ON question (ledger_index);
