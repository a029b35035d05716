--
-- PostgreSQL database dump
--

SET statement_timeout = 0;
SET client_encoding = 'LATIN1';
SET standard_conforming_strings = off;
SET check_function_bodies = false;
SET client_min_messages = warning;
SET escape_string_warning = off;

--
-- Name: plpgsql; Type: PROCEDURAL LANGUAGE; Schema: -; Owner: -
--

CREATE PROCEDURAL LANGUAGE plpgsql;


SET search_path = public, pg_catalog;

--
-- Name: folder(text); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION folder(t text) RETURNS text
    AS $$SELECT 'C:\\temp; ' || $1$$
    LANGUAGE sql;


CREATE FUNCTION quoted() RETURNS text
    AS 'SELECT ''it\\''s''::text'
    LANGUAGE sql;


SET default_tablespace = '';

SET default_with_oids = false;

--
-- Name: customers; Type: TABLE; Schema: public; Owner: -; Tablespace: 
--

CREATE TABLE customers (
    id integer NOT NULL,
    name character varying(80) DEFAULT 'no\\body'::character varying NOT NULL,
    note text
);


COMMENT ON TABLE customers IS 'The shop\'s customers; all of them';


--
-- Name: customers_id_seq; Type: SEQUENCE; Schema: public; Owner: -
--

CREATE SEQUENCE customers_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MAXVALUE
    NO MINVALUE
    CACHE 1;


ALTER SEQUENCE customers_id_seq OWNED BY customers.id;


SELECT pg_catalog.setval('customers_id_seq', 3, true);


SET default_with_oids = true;

CREATE TABLE orders (
    id integer NOT NULL,
    customer integer
);


ALTER TABLE customers ALTER COLUMN id SET DEFAULT nextval('customers_id_seq'::regclass);


--
-- Data for Name: customers; Type: TABLE DATA; Schema: public; Owner: -
--

COPY customers (id, name, note) FROM stdin;
1	Jürgen	tab\there
2	C:\\temp	\N
3	two\nlines	\\.
\.


--
-- Data for Name: orders; Type: TABLE DATA; Schema: public; Owner: -
--

COPY orders (id, customer) FROM stdin;
\.


ALTER TABLE ONLY customers
    ADD CONSTRAINT customers_pkey PRIMARY KEY (id);


ALTER TABLE ONLY orders
    ADD CONSTRAINT orders_customer_fkey FOREIGN KEY (customer) REFERENCES customers(id);


REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT ALL ON SCHEMA public TO PUBLIC;


--
-- PostgreSQL database dump complete
--

