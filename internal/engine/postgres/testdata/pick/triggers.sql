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

ALTER SCHEMA app OWNER TO zoo_owner;

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

ALTER TYPE app.mood OWNER TO postgres;

--
-- Name: audit(); Type: FUNCTION; Schema: app; Owner: postgres
--

CREATE FUNCTION app.audit() RETURNS trigger
    LANGUAGE plpgsql
    AS $$ BEGIN INSERT INTO app.log VALUES (NEW.id); RETURN NEW; END $$;

ALTER FUNCTION app.audit() OWNER TO postgres;

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

ALTER TABLE app.customers OWNER TO postgres;

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

ALTER TABLE app.customers_id_seq OWNER TO postgres;

--
-- Name: customers_id_seq; Type: SEQUENCE OWNED BY; Schema: app; Owner: postgres
--

ALTER SEQUENCE app.customers_id_seq OWNED BY app.customers.id;

--
-- Name: customers id; Type: DEFAULT; Schema: app; Owner: postgres
--

ALTER TABLE ONLY app.customers ALTER COLUMN id SET DEFAULT nextval('app.customers_id_seq'::regclass);

--
-- Name: SCHEMA app; Type: ACL; Schema: -; Owner: zoo_owner
--

GRANT USAGE ON SCHEMA app TO zoo_reader;

COPY "app"."customers" ("id","name","mood") FROM stdin;
1	Ada	ok
2	Grace	ok
\.
SELECT pg_catalog.setval('"app"."customers_id_seq"', 2, true);
--
-- Name: customers customers_pkey; Type: CONSTRAINT; Schema: app; Owner: postgres
--

ALTER TABLE ONLY app.customers
    ADD CONSTRAINT customers_pkey PRIMARY KEY (id);

--
-- Name: customers audit; Type: TRIGGER; Schema: app; Owner: postgres
--

CREATE TRIGGER audit AFTER INSERT ON app.customers FOR EACH ROW EXECUTE FUNCTION app.audit();

ALTER TABLE app.customers DISABLE TRIGGER audit;

--
-- Name: TRIGGER audit ON customers; Type: COMMENT; Schema: app; Owner: postgres
--

COMMENT ON TRIGGER audit ON app.customers IS 'who came';

