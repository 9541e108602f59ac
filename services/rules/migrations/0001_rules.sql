create schema rules;

create table rules.partitions (
    topic text,
    partition int,
    topic_epoch uuid not null,
    epoch bigint not null,
    next_offset bigint not null,
    primary key (topic, partition)
);

create table rules.outbox (
    seq bigint generated always as identity primary key,
    topic text not null,
    key bytea,
    partition int,
    headers jsonb not null,
    value bytea not null
);

create table rules.snapshots (
    topic text,
    partition int,
    slot smallint check (slot in (0, 1)),
    topic_epoch uuid not null,
    next_offset bigint not null,
    version int not null,
    state bytea not null,
    taken_at timestamptz not null default now(),
    primary key (topic, partition, slot)
);
comment on table rules.snapshots is 'The state of a partition before the record at next_offset; two are kept, written in turn.';

create table rules.warnings (
    id uuid,
    rev int,
    open boolean not null,
    body jsonb not null,
    primary key (id, rev)
);
comment on table rules.warnings is 'Every revision once: it fences repetitions after a restart. Reads go to history.';

create table rules.rules (
    id text primary key,
    version int not null,
    meaning int not null,
    body jsonb not null
);
comment on table rules.rules is 'The newest version of each rule, as published on city.rules.';

create table rules.sent_to (
    topic text primary key,
    epoch uuid not null
);
comment on table rules.sent_to is 'The epoch of each topic to which all that stands here was sent: on another epoch it is sent again.';
