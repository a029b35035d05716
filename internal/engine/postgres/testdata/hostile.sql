-- Statements that a backup might hold to do harm. One per line. Each is executed by a load login as it stands, inside
-- stored code that a load calls, and as a load executes a file of unknown origin: it is refused, or nothing outside of
-- the database that is loaded changes. See TestHostile.
--
-- "## group" begins a group; "(top)" after it: not inside stored code, "(endless)": it never ends by itself.
-- @FILE@ is a file the server may read, @NEW@ one that is not there, @DB@ another database, @ROLE@ a role there,
-- @LOGIN@ the load login, @PORT@ a port on which we listen, @PID@ the process of somebody else's session.

## files
COPY (SELECT 'x') TO '@NEW@'
COPY (SELECT 'x') TO '@FILE@'
COPY public.victim TO '@NEW@'
COPY public.victim FROM '@FILE@'
COPY public.victim FROM '/etc/passwd'
COPY BINARY public.victim TO '@NEW@'
SELECT pg_read_file('@FILE@')
SELECT pg_catalog.pg_read_file('postgresql.conf')
SELECT pg_read_file('pg_hba.conf', 0, 100)
SELECT pg_read_file('../../../../etc/passwd')
SELECT pg_read_binary_file('@FILE@')
SELECT pg_stat_file('@FILE@')
SELECT pg_ls_dir('/')
SELECT pg_ls_dir('.')
SELECT pg_ls_logdir()
SELECT pg_ls_waldir()
SELECT pg_ls_tmpdir()
SELECT pg_ls_archive_statusdir()
SELECT lo_import('@FILE@')
SELECT lo_import('/etc/passwd', 77777)
SELECT lo_export(lo_from_bytea(0, 'x'), '@NEW@')
SELECT lo_export(lo_from_bytea(0, 'x'), '@FILE@')
CREATE TABLESPACE evil LOCATION '/tmp'
CREATE EXTENSION file_fdw
CREATE EXTENSION adminpack
CREATE EXTENSION pageinspect
SELECT pg_current_logfile()
SELECT pg_hba_file_rules()
SELECT * FROM pg_file_settings
SELECT * FROM pg_hba_file_rules
SELECT pg_logfile_rotate()
SELECT pg_file_write('@NEW@', 'x', false)
SELECT pg_export_snapshot()
SET data_directory = '/tmp'
SET log_directory = '/tmp'
SET dynamic_library_path = '/tmp'
SET temp_tablespaces = 'pg_global'
CREATE TABLE public.in_global (a int) TABLESPACE pg_global
SELECT pg_relation_filepath('pg_authid')
SELECT pg_walfile_name(pg_current_wal_lsn())

## programs
COPY (SELECT 'x') TO PROGRAM 'touch @NEW@'
COPY public.victim FROM PROGRAM 'touch @NEW@'
COPY public.victim FROM PROGRAM 'sh -c "id > @NEW@"' WITH (FORMAT csv)
COPY public.victim TO PROGRAM 'cat > @NEW@'
LOAD '/tmp/evil.so'
LOAD 'plpgsql'
LOAD '$libdir/auto_explain'
CREATE FUNCTION public.sys(cstring) RETURNS int AS '/lib/x86_64-linux-gnu/libc.so.6', 'system' LANGUAGE c STRICT
CREATE FUNCTION public.sys2(text) RETURNS int LANGUAGE 'c' AS 'evil', 'f'
CREATE FUNCTION public.sys3(text) RETURNS int LANGUAGE "c" AS 'evil'
CREATE FUNCTION public.rd(text) RETURNS text LANGUAGE internal AS 'pg_read_file_all'
CREATE FUNCTION public.rd2(text) RETURNS text AS 'pg_read_file_all' LANGUAGE internal
CREATE LANGUAGE plpython3u
CREATE LANGUAGE plperlu
CREATE TRUSTED LANGUAGE evil HANDLER plpgsql_call_handler
CREATE LANGUAGE evil2 HANDLER plpgsql_call_handler
CREATE OR REPLACE PROCEDURAL LANGUAGE plpgsql
CREATE EXTENSION plpython3u
CREATE EXTENSION plperlu
CREATE EXTENSION pltclu
CREATE EXTENSION IF NOT EXISTS pg_stat_statements
CREATE EXTENSION amcheck
CREATE FUNCTION public.py() RETURNS text LANGUAGE plpython3u AS 'import os; os.system("touch @NEW@")'
SET local_preload_libraries = 'evil'
SET session_preload_libraries = 'evil'
SET jit_provider = 'evil'
SET archive_command = 'touch @NEW@'
SET ssl_passphrase_command = 'touch @NEW@'
ALTER SYSTEM SET archive_command = 'touch @NEW@'
ALTER SYSTEM SET restore_command = 'touch @NEW@'

## escalation
ALTER ROLE @LOGIN@ SUPERUSER
ALTER ROLE @LOGIN@ CREATEROLE CREATEDB
ALTER ROLE @LOGIN@ BYPASSRLS
ALTER ROLE @LOGIN@ REPLICATION
ALTER ROLE @LOGIN@ LOGIN
ALTER ROLE @LOGIN@ CONNECTION LIMIT 1000
ALTER ROLE @LOGIN@ VALID UNTIL 'infinity'
ALTER USER CURRENT_USER SUPERUSER
ALTER ROLE CURRENT_ROLE CREATEDB
GRANT postgres TO @LOGIN@
GRANT @ROLE@ TO @LOGIN@
GRANT pg_execute_server_program TO @LOGIN@
GRANT pg_read_server_files TO @LOGIN@
GRANT pg_write_server_files TO PUBLIC
GRANT pg_read_all_data TO @LOGIN@
GRANT @LOGIN@ TO @ROLE@
GRANT ALL ON FUNCTION pg_catalog.pg_read_file(text) TO @LOGIN@
GRANT EXECUTE ON FUNCTION pg_catalog.pg_read_file(text) TO PUBLIC
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA pg_catalog TO PUBLIC
GRANT ALL ON ALL TABLES IN SCHEMA pg_catalog TO @LOGIN@
GRANT SELECT ON pg_catalog.pg_authid TO PUBLIC
GRANT SELECT ON pg_authid TO @LOGIN@
GRANT CREATE ON SCHEMA pg_catalog TO @LOGIN@
GRANT USAGE ON LANGUAGE c TO PUBLIC
GRANT SET ON PARAMETER log_statement TO @LOGIN@
GRANT ALTER SYSTEM ON PARAMETER archive_command TO PUBLIC
CREATE FUNCTION public.def() RETURNS text LANGUAGE sql SECURITY DEFINER AS 'SELECT pg_catalog.pg_read_file(''/etc/passwd'')'
ALTER FUNCTION public.given() OWNER TO postgres
ALTER FUNCTION public.given() OWNER TO CURRENT_USER
ALTER FUNCTION public.given() OWNER TO "postgres"
ALTER FUNCTION public.given() OWNER TO @ROLE@
ALTER TABLE public.victim OWNER TO postgres
ALTER TABLE public.victim ADD COLUMN evil text DEFAULT pg_read_file('/etc/passwd'), OWNER TO postgres
ALTER VIEW public.seen OWNER TO postgres
ALTER SCHEMA public OWNER TO @LOGIN@
ALTER SCHEMA pg_catalog OWNER TO @LOGIN@
ALTER FUNCTION pg_catalog.pg_read_file(text) OWNER TO @LOGIN@
ALTER FUNCTION pg_catalog.pg_read_file(text) SECURITY DEFINER
ALTER FUNCTION pg_catalog.version() SECURITY DEFINER
ALTER FUNCTION public.given() LEAKPROOF
CREATE FUNCTION public.leak(text) RETURNS boolean LANGUAGE sql LEAKPROOF AS 'SELECT true'
CREATE FUNCTION public.support(text) RETURNS boolean LANGUAGE sql SUPPORT pg_catalog.text_starts_with_support AS 'SELECT true'
CREATE FUNCTION public.with_set() RETURNS int LANGUAGE sql SET session_replication_role = 'replica' AS 'SELECT 1'
CREATE FUNCTION public.with_role() RETURNS int LANGUAGE sql SET role = 'postgres' AS 'SELECT 1'
CREATE FUNCTION public.with_session() RETURNS int LANGUAGE sql SET session_authorization = 'postgres' AS 'SELECT 1'
CREATE EVENT TRIGGER evil ON ddl_command_end EXECUTE FUNCTION public.given_event()
CREATE EVENT TRIGGER evil2 ON login EXECUTE FUNCTION public.given_event()
CREATE CAST (int AS text) WITHOUT FUNCTION
CREATE CAST (text AS int) WITH INOUT AS IMPLICIT
CREATE TYPE public.base
CREATE TYPE public.base2 (INPUT = int4in, OUTPUT = int4out, LIKE = int4)
CREATE OPERATOR CLASS public.evil_ops DEFAULT FOR TYPE int USING btree AS OPERATOR 1 <, FUNCTION 1 btint4cmp(int4, int4)
CREATE OPERATOR FAMILY public.evil_family USING btree
ALTER OPERATOR FAMILY pg_catalog.integer_ops USING btree ADD OPERATOR 1 < (int4, int8)
CREATE ACCESS METHOD evil TYPE INDEX HANDLER bthandler
CREATE TEXT SEARCH TEMPLATE public.evil (LEXIZE = dsimple_lexize)
CREATE TEXT SEARCH PARSER public.evil (START = prsd_start, GETTOKEN = prsd_nexttoken, END = prsd_end, LEXTYPES = prsd_lextype)
CREATE TRANSFORM FOR int LANGUAGE plpgsql (FROM SQL WITH FUNCTION int4out(int))
CREATE CONVERSION public.evil FOR 'LATIN1' TO 'UTF8' FROM iso8859_1_to_utf8
CREATE DEFAULT CONVERSION public.evil2 FOR 'LATIN1' TO 'UTF8' FROM iso8859_1_to_utf8
SECURITY LABEL ON TABLE public.victim IS 'trusted'
SECURITY LABEL ON ROLE postgres IS 'x'
ALTER DEFAULT PRIVILEGES FOR ROLE postgres GRANT ALL ON TABLES TO PUBLIC
ALTER DEFAULT PRIVILEGES FOR ROLE @ROLE@ GRANT ALL ON FUNCTIONS TO @LOGIN@
REASSIGN OWNED BY postgres TO @LOGIN@
REASSIGN OWNED BY @LOGIN@ TO postgres
DROP OWNED BY postgres
CREATE RULE evil AS ON SELECT TO pg_catalog.pg_user DO INSTEAD SELECT 1
CREATE TRIGGER evil BEFORE INSERT ON pg_catalog.pg_authid FOR EACH ROW EXECUTE FUNCTION public.given_trigger()
CREATE POLICY evil ON pg_catalog.pg_authid USING (true)
ALTER EXTENSION plpgsql ADD FUNCTION public.given()
ALTER EXTENSION plpgsql UPDATE
DROP EXTENSION plpgsql CASCADE
SELECT pg_catalog.binary_upgrade_set_next_pg_authid_oid(10)
CREATE FUNCTION pg_catalog.evil() RETURNS int LANGUAGE sql AS 'SELECT 1'
CREATE OPERATOR pg_catalog.=== (LEFTARG = int, RIGHTARG = int, FUNCTION = int4eq)
CREATE TABLE pg_catalog.evil (a int)
CREATE SCHEMA pg_evil
CREATE SCHEMA evil AUTHORIZATION postgres

## other databases
CREATE DATABASE evil
CREATE DATABASE evil TEMPLATE @DB@
DROP DATABASE @DB@
DROP DATABASE @DB@ WITH (FORCE)
DROP DATABASE postgres
ALTER DATABASE @DB@ RENAME TO evil
ALTER DATABASE @DB@ OWNER TO @LOGIN@
ALTER DATABASE @DB@ SET search_path TO evil
ALTER DATABASE @DB@ CONNECTION LIMIT 0
ALTER DATABASE @DB@ ALLOW_CONNECTIONS false
ALTER DATABASE @DB@ IS_TEMPLATE true
ALTER DATABASE @DB@ REFRESH COLLATION VERSION
COMMENT ON DATABASE @DB@ IS 'evil'
GRANT ALL ON DATABASE @DB@ TO @LOGIN@
REVOKE ALL ON DATABASE @DB@ FROM PUBLIC
GRANT CREATE ON TABLESPACE pg_default TO @LOGIN@
ALTER TABLESPACE pg_default RENAME TO evil
ALTER TABLESPACE pg_default OWNER TO @LOGIN@
DROP TABLESPACE pg_default
SELECT * FROM @DB@.public.treasure
INSERT INTO @DB@.public.treasure VALUES (1)
SELECT pg_database_size('@DB@')
SELECT pg_terminate_backend(@PID@)
SELECT pg_cancel_backend(@PID@)
SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()
SELECT pg_stat_reset_shared('bgwriter')
SELECT pg_stat_reset()
SELECT pg_prewarm('pg_authid')
SELECT pg_sync_replication_slots()
PREPARE TRANSACTION 'evil'
COMMIT PREPARED 'canary'
ROLLBACK PREPARED 'canary'

## roles
CREATE ROLE evil
CREATE ROLE evil SUPERUSER LOGIN PASSWORD 'x'
CREATE USER evil
CREATE GROUP evil
DROP ROLE @ROLE@
DROP USER @ROLE@
DROP ROLE IF EXISTS @LOGIN@
ALTER ROLE @ROLE@ PASSWORD 'evil'
ALTER ROLE postgres PASSWORD 'evil'
ALTER ROLE postgres NOSUPERUSER
ALTER ROLE postgres NOLOGIN
ALTER ROLE postgres RENAME TO evil
ALTER ROLE @ROLE@ SET search_path TO evil
ALTER ROLE postgres SET session_preload_libraries TO 'evil'
ALTER ROLE ALL SET search_path TO evil
ALTER ROLE postgres IN DATABASE @DB@ SET role TO evil
ALTER USER @ROLE@ VALID UNTIL '2000-01-01'
ALTER GROUP @ROLE@ ADD USER @LOGIN@
COMMENT ON ROLE @ROLE@ IS 'evil'
COMMENT ON ROLE @LOGIN@ IS 'not a load login'
REVOKE @ROLE@ FROM postgres
SELECT * FROM pg_authid
SELECT rolpassword FROM pg_catalog.pg_authid
SELECT * FROM pg_shadow
SELECT * FROM pg_user_mapping
SELECT passwd FROM pg_catalog.pg_user
UPDATE pg_catalog.pg_authid SET rolsuper = true
UPDATE pg_authid SET rolpassword = NULL WHERE rolname = 'postgres'
INSERT INTO pg_catalog.pg_auth_members VALUES (10, 10, 10, true)
DELETE FROM pg_catalog.pg_authid
ALTER ROLE @LOGIN@ PASSWORD 'known'
ALTER ROLE @LOGIN@ SET statement_timeout TO 0
ALTER ROLE @LOGIN@ SET temp_file_limit TO -1
ALTER ROLE @LOGIN@ RENAME TO evil
DROP OWNED BY @ROLE@

## settings
ALTER SYSTEM SET log_statement = 'all'
ALTER SYSTEM SET listen_addresses = '*'
ALTER SYSTEM SET max_connections = 1
ALTER SYSTEM RESET ALL
ALTER SYSTEM SET shared_preload_libraries = 'evil'
SELECT pg_reload_conf()
SELECT pg_rotate_logfile()
SET session_replication_role = replica
SET SESSION session_replication_role TO 'replica'
SELECT set_config('session_replication_role', 'replica', false)
SELECT pg_catalog.set_config('log_statement', 'none', false)
SELECT pg_catalog.set_config('role', 'postgres', false)
SELECT pg_catalog.set_config('session_authorization', 'postgres', false)
SELECT pg_catalog.set_config('is_superuser', 'on', false)
SELECT pg_catalog.set_config('search_path', pg_read_file('/etc/passwd'), false)
SET log_min_messages = panic
SET log_statement = none
SET log_error_verbosity = verbose
SET allow_system_table_mods = on
SET zero_damaged_pages = on
SET ignore_system_indexes = on
SET ignore_checksum_failure = on
SET lo_compat_privileges = on
SET track_activities = off
SET temp_file_limit = -1
SET max_stack_depth = '100MB'
SET lc_messages = 'C'
SET wal_compression = off
SET commit_delay = 100000
SET update_process_title = off
SET backtrace_functions = 'x'
SET debug_assertions = on
SET fsync = off
SET standard_conforming_strings = off
SET client_encoding = 'SJIS'
SET client_encoding TO 'BIG5'
SET NAMES 'GBK'
SET transform_null_equals = on
SET default_transaction_read_only = on
SET default_transaction_deferrable = on
SET password_encryption = md5
SET createrole_self_grant = 'set, inherit'
SET event_triggers = off
SET plpgsql.extra_errors = 'all'
SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY
SHOW config_file
SHOW ALL

## session tricks
SET ROLE postgres
SET ROLE @ROLE@
SET LOCAL ROLE postgres
SET SESSION ROLE postgres
RESET ROLE
SET ROLE NONE
SET SESSION AUTHORIZATION postgres
SET SESSION AUTHORIZATION @ROLE@
SET SESSION AUTHORIZATION DEFAULT
RESET SESSION AUTHORIZATION
RESET ALL
DISCARD ALL
DISCARD PLANS
DEALLOCATE ALL
PREPARE evil AS SELECT 1
EXECUTE evil
DECLARE evil CURSOR WITH HOLD FOR SELECT 1
LISTEN evil
UNLISTEN *
NOTIFY evil, 'payload'
SELECT pg_notify('evil', 'payload')
SELECT pg_logical_emit_message(false, 'evil', 'payload')
SELECT pg_logical_emit_message(true, 'evil', 'payload')
SELECT pg_advisory_lock(1)
SELECT pg_advisory_lock(5930829427343622144)
SELECT pg_try_advisory_lock(1, 1)
LOCK TABLE pg_catalog.pg_class IN ACCESS EXCLUSIVE MODE
LOCK TABLE pg_catalog.pg_authid IN ACCESS SHARE MODE
LOCK TABLE pg_catalog.pg_database
VACUUM pg_catalog.pg_authid
VACUUM FULL pg_catalog.pg_class
ANALYZE pg_catalog.pg_authid
CLUSTER pg_catalog.pg_authid
REINDEX SYSTEM @DB@
REINDEX TABLE pg_catalog.pg_authid
CHECKPOINT
CALL public.given_procedure()
DO $$ BEGIN PERFORM pg_read_file('/etc/passwd'); END $$
DO LANGUAGE plpgsql $$ BEGIN EXECUTE 'ALTER ROLE @LOGIN@ SUPERUSER'; END $$
EXPLAIN ANALYZE DELETE FROM pg_catalog.pg_authid
TABLE pg_catalog.pg_authid
VALUES (pg_read_file('/etc/passwd'))
WITH x AS (DELETE FROM pg_catalog.pg_authid RETURNING 1) SELECT * FROM x
MERGE INTO pg_catalog.pg_authid a USING (SELECT 1) b ON true WHEN MATCHED THEN UPDATE SET rolsuper = true
TRUNCATE pg_catalog.pg_authid
IMPORT FOREIGN SCHEMA public FROM SERVER evil INTO public
SELECT txid_current()
SELECT pg_create_restore_point('evil')
SELECT pg_switch_wal()
SELECT pg_backup_start('evil')
SELECT pg_start_backup('evil')
SELECT pg_promote()
SELECT pg_wal_replay_pause()
SELECT pg_create_physical_replication_slot('evil')
SELECT pg_create_logical_replication_slot('evil', 'pgoutput')
SELECT pg_drop_replication_slot('canary')
SELECT pg_replication_origin_create('evil')
SELECT pg_log_backend_memory_contexts(@PID@)
SELECT pg_import_system_collations('pg_catalog')
SELECT pg_extension_config_dump('public.victim', '')
SELECT pg_stop_making_sense()

## session ends (top)
BEGIN
COMMIT
ROLLBACK
END
ABORT
START TRANSACTION ISOLATION LEVEL SERIALIZABLE
SAVEPOINT evil
COMMIT AND CHAIN
COMMIT; ALTER SYSTEM SET log_statement = 'all'
COMMIT; VACUUM; ALTER ROLE @LOGIN@ SUPERUSER
BEGIN; SET LOCAL ROLE postgres; COMMIT
SELECT 1; DROP DATABASE @DB@
CREATE TABLE public.ended (a int); COMMIT; SET ROLE postgres; CREATE ROLE evil

## network
CREATE EXTENSION dblink
CREATE EXTENSION postgres_fdw
CREATE FOREIGN DATA WRAPPER evil
CREATE FOREIGN DATA WRAPPER evil HANDLER public.given_event
CREATE SERVER evil FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '127.0.0.1', port '@PORT@')
CREATE USER MAPPING FOR CURRENT_USER SERVER evil OPTIONS (user 'postgres')
CREATE USER MAPPING FOR PUBLIC SERVER evil
CREATE FOREIGN TABLE public.far (a int) SERVER evil
CREATE SUBSCRIPTION evil CONNECTION 'host=127.0.0.1 port=@PORT@ dbname=x' PUBLICATION p
CREATE SUBSCRIPTION evil CONNECTION 'host=127.0.0.1 port=@PORT@ dbname=x' PUBLICATION p WITH (connect = false)
CREATE SUBSCRIPTION evil CONNECTION 'host=127.0.0.1 port=@PORT@' PUBLICATION p WITH (connect = false, enabled = true)
ALTER SUBSCRIPTION evil ENABLE
CREATE PUBLICATION evil FOR ALL TABLES
CREATE PUBLICATION evil FOR TABLES IN SCHEMA public
SELECT dblink('host=127.0.0.1 port=@PORT@', 'SELECT 1')
SELECT dblink_connect('host=127.0.0.1 port=@PORT@')
SELECT * FROM dblink('dbname=@DB@', 'SELECT 1') AS x (a int)
SELECT inet_server_addr()
SELECT xmlparse(document '<!DOCTYPE a [<!ENTITY x SYSTEM "file://@FILE@">]><a>&x;</a>')
SELECT xmlparse(document '<!DOCTYPE a [<!ENTITY x SYSTEM "http://127.0.0.1:@PORT@/">]><a>&x;</a>')
SELECT '<!DOCTYPE a SYSTEM "http://127.0.0.1:@PORT@/evil.dtd"><a/>'::xml

## catalogs
UPDATE pg_catalog.pg_proc SET prosecdef = true
UPDATE pg_catalog.pg_proc SET proowner = 10 WHERE proname = 'given'
UPDATE pg_catalog.pg_database SET datallowconn = false
UPDATE pg_database SET datname = 'evil' WHERE datname = '@DB@'
UPDATE pg_catalog.pg_class SET relowner = 10
UPDATE pg_catalog.pg_settings SET setting = 'all' WHERE name = 'log_statement'
UPDATE pg_settings SET setting = 'replica' WHERE name = 'session_replication_role'
UPDATE pg_catalog.pg_language SET lanpltrusted = true
UPDATE pg_catalog.pg_cast SET castmethod = 'b'
INSERT INTO pg_catalog.pg_proc SELECT * FROM pg_catalog.pg_proc LIMIT 1
INSERT INTO pg_catalog.pg_db_role_setting VALUES (0, 0, '{log_statement=all}')
INSERT INTO pg_catalog.pg_largeobject VALUES (1, 0, 'x')
DELETE FROM pg_catalog.pg_database
DELETE FROM pg_catalog.pg_class
DELETE FROM pg_catalog.pg_depend
DROP TABLE pg_catalog.pg_authid
DROP SCHEMA pg_catalog CASCADE
DROP SCHEMA information_schema CASCADE
DROP FUNCTION pg_catalog.version()
ALTER TABLE pg_catalog.pg_authid DISABLE TRIGGER ALL
ALTER TABLE pg_catalog.pg_authid ADD COLUMN evil int
ALTER TABLE public.victim DISABLE TRIGGER ALL
ALTER TABLE public.victim SET TABLESPACE pg_global
ALTER TYPE pg_catalog.int4 OWNER TO @LOGIN@
ALTER COLLATION pg_catalog."C" RENAME TO evil
COMMENT ON TABLE pg_catalog.pg_class IS 'evil'
COMMENT ON FUNCTION pg_catalog.version() IS 'evil'
COMMENT ON TABLESPACE pg_default IS 'evil'
CREATE INDEX evil ON pg_catalog.pg_authid (rolname)
CREATE STATISTICS pg_catalog.evil ON rolname, rolsuper FROM pg_catalog.pg_authid
CREATE VIEW public.shadow AS SELECT * FROM pg_catalog.pg_authid
CREATE MATERIALIZED VIEW public.shadow2 AS SELECT * FROM pg_catalog.pg_authid
CREATE TABLE public.shadow3 AS SELECT * FROM pg_catalog.pg_shadow
CREATE VIEW public.conf AS SELECT pg_read_file('postgresql.conf')
SELECT pg_nextoid('pg_catalog.pg_class', 'oid', 'pg_class_oid_index')
SELECT setval('pg_catalog.pg_class', 1)
SELECT lo_put(1, 0, 'x')
SELECT lo_unlink(1)

## names like the server's (top)
CREATE FUNCTION public.version() RETURNS text LANGUAGE sql AS 'SELECT pg_read_file(''/etc/passwd'')'
CREATE FUNCTION public.set_config(text, text, boolean) RETURNS text LANGUAGE plpgsql AS $$ BEGIN EXECUTE 'ALTER SYSTEM SET log_statement = ''all'''; RETURN ''; END $$
CREATE FUNCTION public.lower(text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN EXECUTE 'CREATE ROLE evil'; RETURN ''; END $$
CREATE OPERATOR public.= (LEFTARG = text, RIGHTARG = text, FUNCTION = public.given_equal)
CREATE VIEW public.pg_class AS SELECT public.given_volatile() AS oid
CREATE VIEW public.pg_roles AS SELECT public.given_volatile()
CREATE TABLE public.pg_database (datname text)
CREATE SCHEMA "pg_catalog "
CREATE SCHEMA "PG_CATALOG"
CREATE DOMAIN public.text AS pg_catalog.text CHECK (public.given_volatile() IS NULL)
CREATE TYPE public.int4 AS ENUM ('x')
CREATE TEMP TABLE pg_class (oid oid)
CREATE AGGREGATE public.count(text) (SFUNC = public.given_sum, STYPE = text)
ALTER FUNCTION public.given() SET search_path TO evil
SET search_path = evil, public, pg_catalog

## client programs (top)
\! touch @NEW@
\copy public.victim from program 'touch @NEW@'
\o |touch @NEW@
\g |touch @NEW@
\i @FILE@
\c postgres
\setenv PATH /tmp
\unrestrict x
SELECT 1 \gexec
SELECT 'touch @NEW@' \g |sh
\set x `touch @NEW@`
SELECT :'x' \bind \g
\lo_import @FILE@
\password

## endless (endless)
SELECT pg_sleep(3600)
SELECT count(*) FROM generate_series(1, 1000000000000)
WITH RECURSIVE r AS (SELECT 1 UNION ALL SELECT 1 FROM r) SELECT count(*) FROM r
DO $$ BEGIN LOOP PERFORM 1; END LOOP; END $$
DO $$ BEGIN LOOP BEGIN PERFORM pg_sleep(1); EXCEPTION WHEN query_canceled THEN NULL; END; EXIT WHEN false; END LOOP; END $$
SELECT public.given_deep(1)
SELECT regexp_replace(repeat('a', 100000), '(a*)*b', '')
SELECT array_agg(g) FROM generate_series(1, 1000000000) g
SELECT pg_advisory_lock(5930829427343622145), pg_sleep(3600)
SELECT numeric_power(9.9999, 99999)
SELECT factorial(100000)
SELECT repeat('x', 100000) ~ '(x+x+)+y'
CREATE TABLE public.bomb AS SELECT repeat(md5(g::text), 30) FROM generate_series(1, 100000000) g
