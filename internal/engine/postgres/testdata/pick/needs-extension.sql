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

--
-- Name: ext; Type: SCHEMA; Schema: -; Owner: postgres
--

CREATE SCHEMA ext;

--
-- Name: btree_gist; Type: EXTENSION; Schema: -; Owner: -
--

CREATE EXTENSION IF NOT EXISTS btree_gist WITH SCHEMA ext;

--
-- Name: EXTENSION btree_gist; Type: COMMENT; Schema: -; Owner: 
--

COMMENT ON EXTENSION btree_gist IS 'support for indexing common datatypes in GiST';

SET default_tablespace = '';
SET default_table_access_method = heap;
--
-- Name: bookings; Type: TABLE; Schema: app; Owner: postgres
--

CREATE TABLE app.bookings (
    room integer,
    during daterange
);

--
-- Name: SCHEMA app; Type: ACL; Schema: -; Owner: zoo_owner
--

GRANT USAGE ON SCHEMA app TO zoo_reader;

COPY "app"."bookings" ("room","during") FROM stdin;
1	[2026-01-01,2026-01-05)
\.
--
-- Name: bookings bookings_room_during_excl; Type: CONSTRAINT; Schema: app; Owner: postgres
--

ALTER TABLE ONLY app.bookings
    ADD CONSTRAINT bookings_room_during_excl EXCLUDE USING gist (room WITH =, during WITH &&);

