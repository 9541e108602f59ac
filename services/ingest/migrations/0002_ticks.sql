create schema api_ingest;

create table ingest.ticks (
    one boolean primary key default true check (one),
    ticked_at timestamptz not null
);
comment on table ingest.ticks is 'The newest tick of which every partition''s record is in Kafka: written with the next turn of whoever ticks.';

create function api_ingest.ticked() returns timestamptz
language sql stable security definer set search_path = '' as $$
    select t.ticked_at from ingest.ticks t
$$;
comment on function api_ingest.ticked is 'The newest tick that Kafka has, null before the first: whether time goes on.';

revoke all on all functions in schema api_ingest from public;
grant usage on schema api_ingest to tongguan_reader;
grant execute on all functions in schema api_ingest to tongguan_reader;
