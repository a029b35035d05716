-- +goose Up
-- why an instant restore's last try to make its safety backup failed: JSON, '' once it is made
ALTER TABLE operations ADD COLUMN safety_failure TEXT NOT NULL DEFAULT '';
