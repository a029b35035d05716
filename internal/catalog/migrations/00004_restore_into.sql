-- +goose Up
-- a restore into a new database: its name, and the tables that were chosen (JSON, [] is all)
ALTER TABLE operations ADD COLUMN new_name TEXT NOT NULL DEFAULT '';
ALTER TABLE operations ADD COLUMN only_tables TEXT NOT NULL DEFAULT '[]';
