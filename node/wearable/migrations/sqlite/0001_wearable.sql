-- +goose Up

-- One row is a connection: an account at a maker of wearables whose owner, a patient, has
-- allowed the site to ask for its data.
CREATE TABLE wearable_connection (
    connection_id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    maker TEXT NOT NULL,
    patient TEXT NOT NULL,              -- id of the FHIR Patient
    timezone TEXT NOT NULL,             -- IANA name of the account's zone, empty if not told
    account TEXT NOT NULL,              -- SHA-256 of the maker's id of the person, empty if the maker does not say
    state TEXT NOT NULL,                -- connected, or needs connecting again
    tokens BLOB NOT NULL,               -- sealed with the node's key; empty if they are worth nothing
    since TIMESTAMP NOT NULL,           -- what was before its window of days is not asked for
    connected_at TIMESTAMP NOT NULL,
    asked_at TIMESTAMP NOT NULL,        -- when the site last asked for a pull; connecting is asking
    began_at TIMESTAMP,                 -- the last attempt
    ended_at TIMESTAMP,                 -- the last attempt that ended, well or not
    success_at TIMESTAMP,               -- the last attempt that asked for everything
    retry_at TIMESTAMP,                 -- when to try again after trouble that passes; null if there is none
    failures INTEGER NOT NULL,          -- attempts since then that ended in such trouble
    error TEXT NOT NULL,                -- of the last attempt, empty for none
    lease TEXT NOT NULL,                -- who may use the tokens
    lease_until TIMESTAMP               -- until when; null for nobody
);
CREATE UNIQUE INDEX wearable_connection_of_patient ON wearable_connection (maker, patient);
CREATE UNIQUE INDEX wearable_connection_of_account ON wearable_connection (maker, account) WHERE account <> '';

-- One row is how far one kind of data of a connection has been fetched.
CREATE TABLE wearable_feed (
    connection_id INTEGER NOT NULL,
    feed TEXT NOT NULL,
    until TIMESTAMP NOT NULL,           -- what was before has been acknowledged by the loads
    PRIMARY KEY (connection_id, feed)
) WITHOUT ROWID;

-- One row is an authorization that a patient was asked for and that has not come back yet.
CREATE TABLE wearable_authorization (
    state TEXT NOT NULL PRIMARY KEY,    -- SHA-256 of the state that comes back with it
    maker TEXT NOT NULL,
    patient TEXT NOT NULL,
    timezone TEXT NOT NULL,
    verifier BLOB NOT NULL,             -- of PKCE, sealed with the node's key
    asked_at TIMESTAMP NOT NULL
) WITHOUT ROWID;
