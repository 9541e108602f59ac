create schema gateway;

create table gateway.users (
    id text primary key,
    name jsonb not null,
    password text,
    provider text,
    disabled boolean not null default false,
    made_at timestamptz not null,
    last_seen timestamptz,
    check ((password is null) <> (provider is null))
);
comment on table gateway.users is
    'Who may sign in: a local user by a password (argon2id), or one whom a provider vouches for. None is ever deleted, so that the audit''s names keep their meaning.';

create table gateway.grants (
    user_id text references gateway.users,
    place int,
    role text not null,
    region text not null,
    departments text[],
    primary key (user_id, place)
);
comment on table gateway.grants is 'What a user may do where, for which departments (null: all); the sum counts. place keeps their order.';

create table gateway.sessions (
    digest bytea primary key,
    user_id text not null references gateway.users,
    opened_at timestamptz not null,
    seen_at timestamptz not null,
    ends_at timestamptz not null,
    address text not null
);
comment on table gateway.sessions is 'Who is signed in. digest is the SHA-256 of what the browser holds, so this table opens no session.';
create index on gateway.sessions (user_id);

create table gateway.failures (
    subject text primary key,
    failed int not null,
    since timestamptz not null,
    locked_until timestamptz
);
comment on table gateway.failures is 'Wrong passwords by user (`user/…`) and by address (`address/…`) since the first of them that still counts.';

create table gateway.audit (
    seq bigint generated always as identity primary key,
    id uuid not null unique,
    at timestamptz not null,
    region text,
    body jsonb not null
);
comment on table gateway.audit is 'Who did what, when, from where, with what result (schemas.audit.AuditEntry). It is only ever added to, and kept for 400 days.';
create index on gateway.audit (region, seq desc);
create index on gateway.audit (at);

create function gateway.keep_audit() returns trigger language plpgsql as $$
-- Lets nothing go but what is older than the audit is kept for.
begin
    if tg_op = 'DELETE' and old.at < now() - interval '400 days' then
        return old;
    end if;
    raise exception 'the audit is only ever added to: % is refused', tg_op using errcode = 'insufficient_privilege';
end
$$;
create trigger keep_rows before update or delete on gateway.audit for each row execute function gateway.keep_audit();
create trigger keep_all before truncate on gateway.audit for each statement execute function gateway.keep_audit();

create table gateway.outbox (
    seq bigint generated always as identity primary key,
    topic text not null,
    key bytea,
    partition int,
    headers jsonb not null,
    value bytea not null
);
