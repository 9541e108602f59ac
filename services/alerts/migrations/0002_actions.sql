create table alerts.actions (
    warning uuid primary key,
    rev int not null,
    street text not null,
    department text not null,
    body jsonb not null
);
comment on table alerts.actions is 'What people did of each warning, the newest revision.';

create table alerts.commands (
    id uuid primary key,
    warning uuid not null,
    decided_at timestamptz not null default now()
);
comment on table alerts.commands is 'Commands that were decided: one that comes again changes nothing.';

create function api_alerts.actions(warnings uuid[]) returns table (body jsonb)
language sql stable security definer set search_path = '' as $$
    select a.body from alerts.actions a where a.warning = any(warnings)
$$;
comment on function api_alerts.actions is 'What people did of some warnings; the caller decides by street and department who may see it.';

revoke all on function api_alerts.actions from public;
grant execute on function api_alerts.actions to tongguan_reader;
