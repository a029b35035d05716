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
-- Name: Odd "schema";; Type: SCHEMA; Schema: -; Owner: postgres
--

CREATE SCHEMA "Odd ""schema"";";

ALTER SCHEMA "Odd ""schema"";" OWNER TO postgres;

SET default_tablespace = '';
SET default_table_access_method = heap;
--
-- Name: T.'able" --; Type: TABLE; Schema: Odd "schema";; Owner: postgres
--

CREATE TABLE "Odd ""schema"";"."T.'able"" --" (
    "co""l" integer NOT NULL,
    "select" text
);

ALTER TABLE "Odd ""schema"";"."T.'able"" --" OWNER TO postgres;

COPY "Odd ""schema"";"."T.'able"" --" ("co""l","select") FROM stdin;
1	\\.
2	\N
\.
--
-- Name: T.'able" -- T.'able" --_pkey; Type: CONSTRAINT; Schema: Odd "schema";; Owner: postgres
--

ALTER TABLE ONLY "Odd ""schema"";"."T.'able"" --"
    ADD CONSTRAINT "T.'able"" --_pkey" PRIMARY KEY ("co""l");

