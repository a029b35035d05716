-- +goose Up
-- The name is in every index by which DB Logs are read, so that looking for a text in the rows of a filter reads no row.
DROP INDEX operations_log;
CREATE INDEX operations_log ON operations (organization_id, place, type, status, database_id, name) WHERE deleted_at = 0;
DROP INDEX operations_log_status;
CREATE INDEX operations_log_status ON operations (organization_id, status, place, type, database_id, name) WHERE deleted_at = 0;
DROP INDEX operations_log_type;
CREATE INDEX operations_log_type ON operations (organization_id, type, place, status, database_id, name) WHERE deleted_at = 0;
DROP INDEX operations_log_database;
CREATE INDEX operations_log_database ON operations (organization_id, database_id, place, type, status, name) WHERE deleted_at = 0;
DROP INDEX operations_log_schedule;
CREATE INDEX operations_log_schedule ON operations (schedule_id, place, organization_id, type, status, database_id, name) WHERE deleted_at = 0 AND schedule_id <> '';
