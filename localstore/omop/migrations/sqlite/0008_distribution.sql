-- +goose Up

-- by_distribution says that is_outlier was set because the value lies far from all
-- others of its variable in the store, and not when the row was loaded. Such marks
-- are set and taken away anew by each run of the data quality report.
ALTER TABLE quality ADD COLUMN by_distribution BOOLEAN NOT NULL DEFAULT FALSE;
