CREATE TABLE public.orders (id bigint, total numeric);
CREATE TABLE public.notes (t text);
COPY public.orders (id, total) FROM stdin;
1	0.50
2	10.50
3	20.50
\.
COPY public.notes (t) FROM stdin;
\.
CREATE INDEX orders_id ON public.orders (id);
