-- State of 0.2 is of another shape: what replaces it begins from the log.
drop table rules.snapshots;

create table rules.snapshots (
    topic text,
    partition int,
    snapshot bigint,
    topic_epoch uuid not null,
    next_offset bigint not null,
    version int not null,
    complete boolean not null default false,
    begun_at timestamptz not null default clock_timestamp(),
    primary key (topic, partition, snapshot)
);
comment on table rules.snapshots is 'The state of a partition before the record at next_offset; two complete ones are kept. One that is not complete is never read.';

create table rules.pages (
    topic text,
    partition int,
    page int,
    snapshot bigint,
    body bytea not null,
    primary key (topic, partition, page, snapshot)
);
comment on table rules.pages is 'What a snapshot wrote because it had changed: a snapshot is the newest row of each page at or below its number.';

alter table rules.warnings add column street text, add column version int not null default 0;
update rules.warnings set street = body->>'street';
alter table rules.warnings alter column street set not null;
comment on column rules.warnings.version is 'Of the engine that told it: what another told, this one does not compute again from the log.';
create index warnings_open on rules.warnings (street) where open;
comment on index rules.warnings_open is 'Finds the episodes that an owner without a snapshot takes over.';
