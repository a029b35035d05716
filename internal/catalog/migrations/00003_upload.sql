-- +goose Up
ALTER TABLE operations ADD COLUMN upload TEXT NOT NULL DEFAULT '';   -- JSON: what was uploaded, with backups of trigger upload

-- +goose Down
SELECT 1;
