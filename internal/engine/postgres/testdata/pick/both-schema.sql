-- Chosen tables of a PostgreSQL database, taken by Safepoint out of its backup of (when).
-- Left out: trigger audit of app.customers, because nothing else chosen needs its function app.audit.
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

--
-- Name: SCHEMA app; Type: COMMENT; Schema: -; Owner: zoo_owner
--

COMMENT ON SCHEMA app IS 'the shop';

--
-- Name: mood; Type: TYPE; Schema: app; Owner: postgres
--

CREATE TYPE app.mood AS ENUM (
    'sad',
    'ok'
);

--
-- Name: positive; Type: DOMAIN; Schema: app; Owner: postgres
--

CREATE DOMAIN app.positive AS numeric(12,2)
	CONSTRAINT positive_check CHECK ((VALUE > (0)::numeric));

--
-- Name: slug(text); Type: FUNCTION; Schema: app; Owner: postgres
--

CREATE FUNCTION app.slug(t text) RETURNS text
    LANGUAGE sql IMMUTABLE
    AS $$ SELECT lower(t); -- "public"."nothing" $$;

SET default_tablespace = '';
SET default_table_access_method = heap;
--
-- Name: customers; Type: TABLE; Schema: app; Owner: postgres
--

CREATE TABLE app.customers (
    id integer NOT NULL,
    name text NOT NULL,
    mood app.mood DEFAULT 'ok'::app.mood
);

--
-- Name: customers_id_seq; Type: SEQUENCE; Schema: app; Owner: postgres
--

CREATE SEQUENCE app.customers_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;

--
-- Name: customers_id_seq; Type: SEQUENCE OWNED BY; Schema: app; Owner: postgres
--

ALTER SEQUENCE app.customers_id_seq OWNED BY app.customers.id;

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
-- Name: customers id; Type: DEFAULT; Schema: app; Owner: postgres
--

ALTER TABLE ONLY app.customers ALTER COLUMN id SET DEFAULT nextval('app.customers_id_seq'::regclass);

--
-- Name: customers customers_pkey; Type: CONSTRAINT; Schema: app; Owner: postgres
--

ALTER TABLE ONLY app.customers
    ADD CONSTRAINT customers_pkey PRIMARY KEY (id);

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
-- Name: orders orders_customer_fkey; Type: FK CONSTRAINT; Schema: app; Owner: zoo_owner
--

ALTER TABLE ONLY app.orders
    ADD CONSTRAINT orders_customer_fkey FOREIGN KEY (customer) REFERENCES app.customers(id);

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

