create table gateway.photos (
    digest text primary key,
    media text not null,
    body bytea not null,
    by text not null,
    at timestamptz not null
);
alter table gateway.photos alter column body set storage external;
comment on table gateway.photos is 'Photos from the field by their SHA-256, as they came; at: when last sent. Personal: only who directs sees them, and that is audited.';
create index on gateway.photos (by, at);
create index on gateway.photos (at);

create table gateway.given (
    command uuid primary key,
    actor text not null,
    at timestamptz not null
);
comment on table gateway.given is 'Commands whose id is not of our making: one that comes again is neither audited nor written again. Kept as long as city.commands.';
create index on gateway.given (at);
