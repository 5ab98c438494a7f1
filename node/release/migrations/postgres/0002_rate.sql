-- +goose Up

-- Rates count a researcher's questions and a trial's, see release.
CREATE INDEX release_trial ON release (trial, released_at);
