--
-- PostgreSQL database dump
--

-- Dumped from database version 9.2.24
-- Dumped by pg_dump version 9.2.24

SET statement_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SET check_function_bodies = false;
SET client_min_messages = warning;

--
-- Name: app; Type: SCHEMA; Schema: -; Owner: -
--

CREATE SCHEMA app;


--
-- Name: plpgsql; Type: EXTENSION; Schema: -; Owner: 
--

CREATE EXTENSION IF NOT EXISTS plpgsql WITH SCHEMA pg_catalog;


--
-- Name: EXTENSION plpgsql; Type: COMMENT; Schema: -; Owner: 
--

COMMENT ON EXTENSION plpgsql IS 'PL/pgSQL procedural language';


SET search_path = app, pg_catalog;

SET default_tablespace = '';

SET default_with_oids = false;

--
-- Name: orders; Type: TABLE; Schema: app; Owner: -; Tablespace: 
--

CREATE TABLE orders (
    id integer NOT NULL,
    what text
);


SET search_path = public, pg_catalog;

--
-- Name: orders; Type: TABLE; Schema: public; Owner: -; Tablespace: 
--

CREATE TABLE orders (
    id integer NOT NULL
);


SET search_path = app, pg_catalog;

--
-- Data for Name: orders; Type: TABLE DATA; Schema: app; Owner: -
--

INSERT INTO orders VALUES (1, 'a;b'), (2, '\');
INSERT INTO orders VALUES (3, 'it''s');


SET search_path = public, pg_catalog;

--
-- Data for Name: orders; Type: TABLE DATA; Schema: public; Owner: -
--

COPY orders (id) FROM stdin;
7
\.


SET search_path = pg_catalog;

--
-- Data for Name: BLOBS; Type: BLOBS; Schema: -; Owner: 
--

SELECT pg_catalog.lo_create('770077');

BEGIN;

SELECT pg_catalog.lo_open('770077', 131072);
SELECT pg_catalog.lowrite(0, '\x48656c6c6f');
SELECT pg_catalog.lo_close(0);

COMMIT;

SET search_path = app, pg_catalog;

--
-- Name: orders_pkey; Type: CONSTRAINT; Schema: app; Owner: -; Tablespace: 
--

ALTER TABLE ONLY orders
    ADD CONSTRAINT orders_pkey PRIMARY KEY (id);


--
-- Name: public; Type: ACL; Schema: -; Owner: -
--

COMMENT ON SCHEMA public IS 'standard public schema';


--
-- PostgreSQL database dump complete
--

