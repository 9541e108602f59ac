create schema alerts;
create schema api_alerts;

create table alerts.partitions (
    topic text,
    partition int,
    topic_epoch uuid not null,
    epoch bigint not null,
    next_offset bigint not null,
    primary key (topic, partition)
);

create table alerts.outbox (
    seq bigint generated always as identity primary key,
    topic text not null,
    key bytea,
    partition int,
    headers jsonb not null,
    value bytea not null
);

create table alerts.warnings (
    id uuid primary key,
    rev int not null
);
comment on table alerts.warnings is 'The newest revision of each warning that alerts has dealt with.';

create table alerts.notifications (
    id uuid primary key,
    warning uuid not null,
    warning_rev int not null,
    recipient text not null,
    street text not null,
    department text not null,
    decided_at timestamptz not null,
    body jsonb not null
);
comment on table alerts.notifications is 'Who was told of what; id is of warning, revision, channel and recipient, so a repetition is the same row.';
create index on alerts.notifications (recipient, decided_at desc);

create function api_alerts.notifications(recipients text[], streets text[], most int) returns table (body jsonb)
language sql stable security definer set search_path = '' as $$
    select n.body from alerts.notifications n where n.recipient = any(recipients) and n.street = any(streets) order by n.decided_at desc limit most
$$;
comment on function api_alerts.notifications is 'The newest notifications of some recipients about some streets: the reader''s scope.';

revoke all on all functions in schema api_alerts from public;
grant usage on schema api_alerts to tongguan_reader;
grant execute on all functions in schema api_alerts to tongguan_reader;
