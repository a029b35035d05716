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

COPY "app"."orders" ("id","customer","parent","total","note") FROM stdin;
1	1	\N	12.50	\N
2	2	\N	3.00	a\tb
\.
SELECT pg_catalog.setval('"app"."orders_id_seq"', 2, true);
