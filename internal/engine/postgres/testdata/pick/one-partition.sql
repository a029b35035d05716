-- Chosen tables of a PostgreSQL database, taken by Safepoint out of its backup of (when).

SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;
SET DateStyle = 'ISO, MDY';
SET IntervalStyle = 'postgres';
SET TimeZone = 'UTC';
SET lc_monetary = 'C';

--
-- Name: app; Type: SCHEMA; Schema: -; Owner: zoo_owner
--

CREATE SCHEMA app;

--
-- Name: SCHEMA app; Type: COMMENT; Schema: -; Owner: zoo_owner
--

COMMENT ON SCHEMA app IS 'the shop';

SET default_tablespace = '';
SET default_table_access_method = heap;
--
-- Name: events_2025; Type: TABLE; Schema: app; Owner: postgres
--

CREATE TABLE app.events_2025 (
    at date,
    kind text
);

--
-- Name: SCHEMA app; Type: ACL; Schema: -; Owner: zoo_owner
--

GRANT USAGE ON SCHEMA app TO zoo_reader;

COPY "app"."events_2025" ("at","kind") FROM stdin;
2025-03-01	a
\.
--
-- Name: events_2025_kind_idx; Type: INDEX; Schema: app; Owner: postgres
--

CREATE INDEX events_2025_kind_idx ON app.events_2025 USING btree (kind);

