-- +goose Up
-- how a person reads the console: a language's tag, '' where their organization or browser decides; hours of 24 or 12
ALTER TABLE users ADD COLUMN language TEXT NOT NULL DEFAULT '';
ALTER TABLE users ADD COLUMN hours TEXT NOT NULL DEFAULT '24';
-- the language of who has chosen none; after how long without use its members are signed out, 0 for the server's default;
-- whether the guide through the first run was finished or put away
ALTER TABLE organizations ADD COLUMN language TEXT NOT NULL DEFAULT '';
ALTER TABLE organizations ADD COLUMN session_idle_ms BIGINT NOT NULL DEFAULT 0;
ALTER TABLE organizations ADD COLUMN guided INTEGER NOT NULL DEFAULT 0;
-- what an action changed: JSON, '' for nothing known
ALTER TABLE audit ADD COLUMN changes TEXT NOT NULL DEFAULT '';
CREATE INDEX sessions_user ON sessions (user_id);
