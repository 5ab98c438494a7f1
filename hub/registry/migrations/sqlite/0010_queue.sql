-- +goose Up

-- Which of a researcher's own questions goes first: low, normal or high.
ALTER TABLE question ADD COLUMN priority TEXT NOT NULL DEFAULT 'normal';
CREATE INDEX question_asker ON question (state, researcher);
