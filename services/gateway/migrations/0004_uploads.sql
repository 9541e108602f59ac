create schema api_gateway;

create table gateway.uploads (
    digest text primary key,
    body bytea not null,
    by text not null,
    at timestamptz not null
);
alter table gateway.uploads alter column body set storage external;
comment on table gateway.uploads is 'Files of imports by their SHA-256, as they came; at: when last sent. Kept as long as city.commands.';
create index on gateway.uploads (by, at);
create index on gateway.uploads (at);

create function api_gateway.upload(of_digest text) returns bytea
language sql stable security definer set search_path = '' as $$
    select u.body from gateway.uploads u where u.digest = of_digest
$$;
comment on function api_gateway.upload is 'A file that was sent for an import, null when it is kept no longer.';

revoke all on all functions in schema api_gateway from public;
grant usage on schema api_gateway to tongguan_reader;
grant execute on all functions in schema api_gateway to tongguan_reader;
