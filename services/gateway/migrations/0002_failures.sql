-- Whatever was typed into the field for the user stood here, a password too at times; and one row a user let anybody lock them out.
delete from gateway.failures;
alter table gateway.failures add column whose text;
create index on gateway.failures (whose);
comment on table gateway.failures is
    'Wrong passwords since the first of them that still counts: by user (`user/<hash>`), by user and network (`user/<hash>/<network>`) and by network (`address/<network>`).';
comment on column gateway.failures.whose is 'The SHA-256 of the id that was given, for what counts against a user; null for a network.';
