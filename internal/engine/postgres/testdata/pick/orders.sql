-- Chosen tables of a PostgreSQL database, taken by Safepoint out of its backup of (when).
-- Left out: foreign key orders_customer_fkey of app.orders, because app.customers was not chosen.
-- Left out: row security policy fewer rows of app.orders, because it reads what was not chosen. It is a restrictive one: without it more rows can be seen.
-- Left out: row security policy listed of app.orders, because it reads what was not chosen.

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

ALTER SCHEMA app OWNER TO zoo_owner;

--
-- Name: SCHEMA app; Type: COMMENT; Schema: -; Owner: zoo_owner
--

COMMENT ON SCHEMA app IS 'the shop';

--
-- Name: positive; Type: DOMAIN; Schema: app; Owner: postgres
--

CREATE DOMAIN app.positive AS numeric(12,2)
	CONSTRAINT positive_check CHECK ((VALUE > (0)::numeric));

ALTER DOMAIN app.positive OWNER TO postgres;

--
-- Name: slug(text); Type: FUNCTION; Schema: app; Owner: postgres
--

CREATE FUNCTION app.slug(t text) RETURNS text
    LANGUAGE sql IMMUTABLE
    AS $$ SELECT lower(t); -- "public"."nothing" $$;

ALTER FUNCTION app.slug(t text) OWNER TO postgres;

SET default_tablespace = '';
SET default_table_access_method = heap;
--
-- Name: orders; Type: TABLE; Schema: app; Owner: zoo_owner
--

CREATE TABLE app.orders (
    id integer NOT NULL,
    customer integer,
    parent integer,
    total app.positive,
    note text DEFAULT 'it''s; "x"."y"'::text
);

ALTER TABLE app.orders OWNER TO zoo_owner;

--
-- Name: TABLE orders; Type: COMMENT; Schema: app; Owner: zoo_owner
--

COMMENT ON TABLE app.orders IS 'what was ordered;
CREATE TABLE evil ()';

--
-- Name: COLUMN orders.note; Type: COMMENT; Schema: app; Owner: zoo_owner
--

COMMENT ON COLUMN app.orders.note IS '-- Name: x; Type: TABLE; Schema: app; Owner: -';

--
-- Name: orders_id_seq; Type: SEQUENCE; Schema: app; Owner: zoo_owner
--

ALTER TABLE app.orders ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME app.orders_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

--
-- Name: SCHEMA app; Type: ACL; Schema: -; Owner: zoo_owner
--

GRANT USAGE ON SCHEMA app TO zoo_reader;

--
-- Name: TABLE orders; Type: ACL; Schema: app; Owner: zoo_owner
--

GRANT SELECT ON TABLE app.orders TO zoo_reader;

COPY "app"."orders" ("id","customer","parent","total","note") FROM stdin;
1	1	\N	12.50	\N
2	2	\N	3.00	a\tb
\.
SELECT pg_catalog.setval('"app"."orders_id_seq"', 2, true);
--
-- Name: orders orders_pkey; Type: CONSTRAINT; Schema: app; Owner: zoo_owner
--

ALTER TABLE ONLY app.orders
    ADD CONSTRAINT orders_pkey PRIMARY KEY (id);

--
-- Name: orders_slug; Type: INDEX; Schema: app; Owner: zoo_owner
--

CREATE INDEX orders_slug ON app.orders USING btree (app.slug(note));

--
-- Name: INDEX orders_slug; Type: COMMENT; Schema: app; Owner: zoo_owner
--

COMMENT ON INDEX app.orders_slug IS 'quick';

--
-- Name: orders orders_parent_fkey; Type: FK CONSTRAINT; Schema: app; Owner: zoo_owner
--

ALTER TABLE ONLY app.orders
    ADD CONSTRAINT orders_parent_fkey FOREIGN KEY (parent) REFERENCES app.orders(id);

--
-- Name: orders mine; Type: POLICY; Schema: app; Owner: zoo_owner
--

CREATE POLICY mine ON app.orders TO zoo_reader USING (true);

--
-- Name: orders; Type: ROW SECURITY; Schema: app; Owner: zoo_owner
--

ALTER TABLE app.orders ENABLE ROW LEVEL SECURITY;

