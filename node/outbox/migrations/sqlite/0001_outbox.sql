-- +goose Up

-- One row is a resource that is, or was, to be created at an EHR.
CREATE TABLE outbox_message (
    message_id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    endpoint TEXT NOT NULL,            -- name of the file with its settings
    identifier TEXT NOT NULL,          -- value of the node's identifier in the resource
    type TEXT NOT NULL,                -- of the resource
    state TEXT NOT NULL,
    content BLOB,                      -- the resource, sealed; null when it is over
    job_id BIGINT NOT NULL DEFAULT 0,  -- that sends it
    attempts INTEGER NOT NULL DEFAULT 0,
    asked_at TIMESTAMP NOT NULL,
    until TIMESTAMP NOT NULL,          -- after which trouble of the EHR is a failure
    tried_at TIMESTAMP,                -- when the latest attempt began
    next_at TIMESTAMP,                 -- when the next one is due
    ended_at TIMESTAMP,                -- null while it waits
    reference TEXT NOT NULL DEFAULT '', -- what the EHR calls it
    error TEXT NOT NULL DEFAULT ''     -- of the last attempt that failed
);
CREATE UNIQUE INDEX outbox_message_once ON outbox_message (endpoint, identifier);
CREATE INDEX outbox_message_by_state ON outbox_message (state, message_id);
