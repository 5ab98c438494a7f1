-- +goose Up

-- The last data quality report of this site, one row at most. report is JSON and holds
-- counts and distributions, no record.
CREATE TABLE quality_report (
    one INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
    ended_at TIMESTAMP NOT NULL,
    report TEXT NOT NULL
);
