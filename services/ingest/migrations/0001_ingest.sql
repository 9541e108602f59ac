create schema ingest;

create table ingest.outbox (
    seq bigint generated always as identity primary key,
    topic text not null,
    key bytea,
    partition int,
    headers jsonb not null,
    value bytea not null
);

create table ingest.sensors (
    id text primary key,
    version int not null,
    street text not null,
    body jsonb not null
);
comment on table ingest.sensors is 'The registry: the newest version of each sensor, as published on city.sensors.';

create table ingest.activations (
    rule text primary key,
    version int not null,
    body jsonb not null
);
comment on table ingest.activations is 'The newest version of each rule that was written to every partition of city.observations.';

create table ingest.adapters (
    adapter text primary key,
    acknowledged_until timestamptz not null,
    reported_at timestamptz not null
);
comment on table ingest.adapters is 'By adapter and node: all that it took up to this time is in Kafka.';

create table ingest.leases (
    name text primary key,
    holder text not null,
    expires_at timestamptz not null
);

create table ingest.sent_to (
    topic text primary key,
    epoch uuid not null
);
comment on table ingest.sent_to is 'The epoch of each topic to which all that stands here was sent: on another epoch it is sent again.';
