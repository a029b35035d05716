-- +goose Up
-- how a restore goes about it ('' is guarded, as all were before), and which way a database's restores start with
ALTER TABLE operations ADD COLUMN mode TEXT NOT NULL DEFAULT '';
ALTER TABLE databases ADD COLUMN instant_switch INTEGER NOT NULL DEFAULT 0;
