--
-- PostgreSQL database dump
--

\restrict aB3dE6gH9

-- Dumped from database version 9.6.24
-- Dumped by pg_dump version 17.11

SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET transaction_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;

DROP TRIGGER IF EXISTS note ON public.items;
ALTER TABLE IF EXISTS ONLY public.items DROP CONSTRAINT IF EXISTS items_pkey;
DROP TABLE IF EXISTS public.items;
DROP FUNCTION IF EXISTS public.noted();
DROP SCHEMA IF EXISTS public;
--
-- Name: public; Type: SCHEMA; Schema: -; Owner: -
--

CREATE SCHEMA public;


CREATE FUNCTION public.noted() RETURNS trigger
    LANGUAGE plpgsql
    AS $$ BEGIN RETURN NEW; END; $$;


SET default_table_access_method = heap;

CREATE TABLE public.items (
    id integer NOT NULL,
    price numeric
);


ALTER TABLE public.items ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.items_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);


COPY public.items (id, price) FROM stdin;
1	9.99
2	\N
\.


SELECT pg_catalog.setval('public.items_id_seq', 2, true);


ALTER TABLE ONLY public.items
    ADD CONSTRAINT items_pkey PRIMARY KEY (id);


CREATE TRIGGER note BEFORE INSERT ON public.items FOR EACH ROW EXECUTE FUNCTION public.noted();


--
-- PostgreSQL database dump complete
--

\unrestrict aB3dE6gH9

