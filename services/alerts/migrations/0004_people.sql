-- What 0.2 kept told of single warnings to screens; an alert tells of many, to people. The topic is read again from its beginning (what was told is kept in Kafka
-- for 30 days), so that warnings that are open now have somebody who answers for them.
drop function api_alerts.notifications(text[], text[], int);
drop table alerts.notifications;
truncate alerts.warnings;
delete from alerts.partitions where topic = 'city.warnings';

drop table alerts.warnings;
create table alerts.warnings (
    id uuid primary key,
    rev int not null,
    street text not null,
    department text not null,
    domain text not null,
    rule text not null,
    subject text not null,
    sensor text,
    origin text not null,
    tags text[] not null,
    open boolean not null,
    gravity smallint not null,
    raised_rev int not null,
    reached int[] not null,
    began_at timestamptz not null,
    changed_at timestamptz not null,
    place jsonb,
    text jsonb not null,
    acked_gravity smallint not null,
    acked_rev int not null,
    acked_at timestamptz,
    done boolean not null,
    cleared_gravity smallint not null
);
comment on table alerts.warnings is 'services.alerts.domain.known.Known: each warning at its newest revision as far as telling needs it, and what people did of it.';
create index on alerts.warnings (street, domain) where open;
create index on alerts.warnings (changed_at) where not open;

create table alerts.alerts (
    id uuid primary key,
    key text not null,
    route text not null,
    escalation text not null,
    region text not null,
    department text,
    origin text not null,
    storm text,
    opened_at timestamptz not null,
    due_at timestamptz,
    hold_until timestamptz not null,
    gravity smallint not null default 0,
    peak smallint not null default 0,
    message int not null default 0,
    unanswered boolean not null default false,
    inherits uuid[] not null default '{}',
    state jsonb,
    closed_at timestamptz
);
comment on table alerts.alerts is
    'Warnings that are told together. due_at: when it is to be looked at next; the timer is the row. hold_until: until when nothing new is told that is not urgent. '
    'gravity: of the gravest that asks for something; peak: the gravest that was told. inherits: told alerts whose warnings have come here, so that who was told of them is told on.';
create unique index alerts_open on alerts.alerts (key) where closed_at is null;
create index alerts_due on alerts.alerts (due_at) where due_at is not null;
create index on alerts.alerts (closed_at) where closed_at is not null;
create index alerts_untold on alerts.alerts (opened_at) where closed_at is null and message = 0;

create table alerts.members (
    alert uuid not null references alerts.alerts on delete cascade,
    warning uuid not null,
    told smallint not null default 0,
    told_rev int not null default 0,
    told_message int not null default 0,
    first_message int not null default 0,
    primary key (alert, warning)
);
comment on column alerts.members.told is 'The gravity that was told last; 0: nobody was told, or that it is over.';
comment on column alerts.members.told_message is 'The message that told of it as it is, or of something graver: who has seen that one has seen what there is to answer for.';
comment on column alerts.members.first_message is 'The first message that told of it; 0: none has.';
create index on alerts.members (warning);

create table alerts.arrivals (
    area text,
    minute timestamptz,
    began int not null,
    primary key (area, minute)
);
comment on table alerts.arrivals is 'How many warnings began in an area of a storm rule, by the minute.';

create table alerts.storms (
    area text primary key,
    until timestamptz not null
);
comment on table alerts.storms is 'Areas in which warnings are one alert, until it has been calm.';

create table alerts.messages (
    alert uuid not null references alerts.alerts on delete cascade,
    number int not null,
    body jsonb not null,
    primary key (alert, number)
);
comment on table alerts.messages is 'What an alert said each time (services.alerts.domain.message.Message), before it was put into words for a channel.';

create table alerts.notifications (
    id uuid primary key,
    alert uuid not null,
    message int not null,
    warning uuid not null,
    recipient text not null,
    street text not null,
    department text not null,
    channel text not null,
    gravity smallint not null,
    decided_at timestamptz not null,
    state text not null,
    lane text,
    attempts int not null default 0,
    first_tried_at timestamptz,
    sending uuid,
    maybe boolean not null default false,
    due_at timestamptz,
    said jsonb,
    body jsonb not null
);
comment on table alerts.notifications is 'Who is told of what, a row before each sending. lane: by which channel to which address; null when nothing is to be sent.';
comment on column alerts.notifications.sending is 'The message that tells it and maybe others, by which the channel knows it when it comes again.';
comment on column alerts.notifications.maybe is 'A try of it may have been taken although no answer came.';
comment on column alerts.notifications.said is 'What it says, where that is not the message of the alert.';
create index on alerts.notifications (recipient, decided_at desc);
create index on alerts.notifications (alert, message);
create index on alerts.notifications (lane) where state in ('waiting', 'sending');
create index on alerts.notifications (decided_at);

create table alerts.lanes (
    lane text primary key,
    channel text not null,
    due_at timestamptz,
    tokens double precision not null,
    tokens_at timestamptz not null,
    leased_until timestamptz
);
comment on table alerts.lanes is 'A channel to one address: its flood limit, when it has something to send, and until when somebody is sending.';
create index on alerts.lanes (due_at) where due_at is not null;

create table alerts.buckets (
    channel text primary key,
    tokens double precision not null,
    tokens_at timestamptz not null
);
comment on table alerts.buckets is 'What a channel may still take as a whole.';

create table alerts.silences (
    id uuid primary key,
    region text not null,
    since timestamptz not null,
    until timestamptz not null,
    body jsonb not null
);
comment on table alerts.silences is 'schemas.rest.SilenceShown; until moves to when it was ended.';

create table alerts.overrides (
    id uuid primary key,
    team text not null,
    person text not null,
    instead_of text,
    since timestamptz not null,
    until timestamptz not null,
    body jsonb not null
);

create table alerts.teams (
    id text primary key,
    region text not null,
    body jsonb not null
);
comment on table alerts.teams is 'Teams as alerting.yaml has them (schemas.alerting.Team), for those who read.';

create table alerts.roster (
    team text not null,
    person text not null,
    since timestamptz not null,
    until timestamptz not null,
    shift jsonb,
    instead_of text,
    primary key (team, since, person)
);
comment on table alerts.roster is 'Who is on duty when, for the last nine days and two weeks ahead: written anew when it changes.';

create table alerts.people (
    id text primary key,
    name jsonb not null,
    contacts jsonb not null
);
comment on table alerts.people is 'People of alerting.yaml with the addresses of contacts.yaml, by channel. Personal: whoever reads an address is audited by the gateway.';

create table alerts.handovers (
    id uuid primary key,
    region text not null,
    at timestamptz not null,
    body jsonb not null
);
comment on table alerts.handovers is 'schemas.rest.HandOverShown.';
create index on alerts.handovers (region, at desc);

create table alerts.pulse (
    part text primary key,
    at timestamptz not null
);
comment on table alerts.pulse is 'Parts of alerts (desk, sending, worker), each moving its row every few seconds while it works, whichever process does it: read by the watchdog.';

create table alerts.answers (
    command uuid primary key,
    warning uuid,
    alert uuid,
    at timestamptz not null,
    body jsonb not null
);
comment on table alerts.answers is 'Positions and photos of field answers (schemas.rest.FieldAnswer), kept for keep_days of alerting.yaml.';
create index on alerts.answers (warning);
create index on alerts.answers (at);

alter table alerts.commands alter column warning drop not null;
alter table alerts.commands rename column warning to subject;
alter table alerts.commands alter column subject type text using case when subject is null then null else 'warning/' || subject end;
alter table alerts.commands add column outcome text;
create index on alerts.commands (decided_at);
comment on column alerts.commands.subject is 'The key of the command, such as warning/<id>.';

-- What others read

create function api_alerts.notifications(recipients text[], streets text[], most int) returns table (body jsonb)
language sql stable security definer set search_path = '' as $$
    select n.body from alerts.notifications n where n.recipient = any(recipients) and n.street = any(streets) order by n.decided_at desc, n.id limit most
$$;
comment on function api_alerts.notifications is 'The newest notifications of some recipients about some streets: the reader''s scope.';

create function api_alerts.told(of uuid, most int) returns table (body jsonb)
language sql stable security definer set search_path = '' as $$
    select n.body from alerts.members m join alerts.notifications n on n.alert = m.alert and n.message >= m.first_message
    where m.warning = of and m.first_message > 0 order by n.decided_at desc, n.id limit most
$$;
comment on function api_alerts.told is 'Who was told of the alerts of a warning, newest first; the caller decides whether the warning may be seen.';

create function api_alerts.alert(of uuid) returns table (alert uuid, body jsonb)
language sql stable security definer set search_path = '' as $$
    select a.id, jsonb_build_object(
        'id', a.id, 'message', a.message, 'gravity', a.gravity, 'region', a.region, 'storm', a.storm is not null, 'origin', a.origin,
        'opened_at', a.opened_at, 'closed_at', a.closed_at, 'unanswered', a.unanswered,
        'count', (select count(*) from alerts.members m join alerts.warnings w on w.id = m.warning where m.alert = a.id and w.open),
        'warnings', (
            select coalesce(jsonb_agg(x.body order by x.open desc, x.gravity desc, x.changed_at), '[]') from (
                select w.open, w.gravity, w.changed_at, jsonb_build_object(
                    'id', w.id, 'rev', w.rev, 'gravity', w.gravity, 'open', w.open, 'text', w.text, 'place', w.place, 'sensor', w.sensor,
                    'street', w.street, 'department', w.department, 'domain', w.domain, 'began_at', w.began_at, 'changed_at', w.changed_at,
                    'actions', (select c.body from alerts.actions c where c.warning = w.id)
                ) as body
                from alerts.members m join alerts.warnings w on w.id = m.warning
                where m.alert = a.id order by w.open desc, w.gravity desc, w.changed_at limit 50
            ) x
        )
    ) from alerts.alerts a where a.id = of
$$;
comment on function api_alerts.alert is 'An alert with its 50 gravest warnings; the caller leaves out what is not the reader''s.';

create function api_alerts.field(whom text, since timestamptz, most int) returns table (alert uuid, told_at timestamptz, notification jsonb)
language sql stable security definer set search_path = '' as $$
    select x.alert, x.decided_at, x.body from (
        select distinct on (n.alert) n.alert, n.decided_at, n.body, a.closed_at, a.unanswered, a.gravity
        from alerts.notifications n join alerts.alerts a on a.id = n.alert
        where n.recipient = 'person/' || whom and n.channel = 'in_app' and (a.closed_at is null or a.closed_at > since)
        order by n.alert, n.message desc
    ) x
    order by x.closed_at is not null, not x.unanswered, x.gravity desc, x.decided_at desc, x.alert limit most
$$;
comment on function api_alerts.field is 'The alerts of which somebody was told, that are open or were closed since, each with its newest notification: those that wait for an answer first, the gravest of them before others.';

create function api_alerts.assigned(whom text, since timestamptz, most int) returns table (alert uuid)
language sql stable security definer set search_path = '' as $$
    select a.id from alerts.alerts a
    where (a.closed_at is null or a.closed_at > since) and exists (
        select from alerts.members m join alerts.actions c on c.warning = m.warning where m.alert = a.id and c.body #>> '{assigned,to,id}' = whom
    )
    order by a.closed_at is not null, a.gravity desc, a.opened_at desc, a.id limit most
$$;
comment on function api_alerts.assigned is 'The alerts with warnings that were given to somebody.';
create index on alerts.actions ((body #>> '{assigned,to,id}'));

create function api_alerts.notification(of uuid) returns table (body jsonb, decided_at timestamptz)
language sql stable security definer set search_path = '' as $$
    select n.body, n.decided_at from alerts.notifications n where n.id = of
$$;
comment on function api_alerts.notification is 'One notification, for the link that it carried.';

create function api_alerts.decided(commands uuid[]) returns table (id uuid, outcome text, decided_at timestamptz)
language sql stable security definer set search_path = '' as $$
    select c.id, c.outcome, c.decided_at from alerts.commands c where c.id = any(commands)
$$;
comment on function api_alerts.decided is 'Which of some commands are decided.';

create function api_alerts.silences(regions text[], now timestamptz) returns table (body jsonb)
language sql stable security definer set search_path = '' as $$
    select s.body from alerts.silences s where s.region = any(regions) and s.until > now - interval '1 day' order by s.since desc, s.id
$$;
comment on function api_alerts.silences is 'Silences of some regions that are to come, in force, or over since a day.';

create function api_alerts.duty(regions text[], since timestamptz, till timestamptz)
returns table (team jsonb, person text, name jsonb, since timestamptz, until timestamptz, shift jsonb, instead_of text)
language sql stable security definer set search_path = '' as $$
    select t.body, r.person, p.name, r.since, r.until, r.shift, r.instead_of
    from alerts.teams t
    left join alerts.roster r on r.team = t.id and r.until > duty.since and r.since < duty.till
    left join alerts.people p on p.id = r.person
    where t.region = any(regions) order by t.id, r.since, r.person
$$;
comment on function api_alerts.duty is 'The teams of some regions, and who of them is on duty in a time.';

create function api_alerts.contacts(whom text[]) returns table (person text, contacts jsonb)
language sql stable security definer set search_path = '' as $$
    select p.id, p.contacts from alerts.people p where p.id = any(whom)
$$;
comment on function api_alerts.contacts is 'Addresses of people, whole. The caller masks them, or audits that somebody looks.';

create function api_alerts.answers(of uuid) returns table (body jsonb)
language sql stable security definer set search_path = '' as $$
    select a.body from alerts.answers a
    where a.warning = of or a.alert in (select m.alert from alerts.members m where m.warning = of) order by a.at
$$;
comment on function api_alerts.answers is 'Positions and photos of field answers to a warning. The caller audits that somebody looks.';

create function api_alerts.handovers(of text, most int) returns table (body jsonb)
language sql stable security definer set search_path = '' as $$
    select h.body from alerts.handovers h where h.region = of order by h.at desc limit most
$$;
comment on function api_alerts.handovers is 'The newest hand-overs of a region''s desk.';

create function api_alerts.brief(streets text[], since timestamptz, till timestamptz) returns table (body jsonb)
language sql stable security definer set search_path = '' as $$
    select jsonb_build_object(
        'id', w.id, 'rev', w.rev, 'street', w.street, 'department', w.department, 'domain', w.domain, 'gravity', w.gravity, 'open', w.open,
        'text', w.text, 'place', w.place, 'began_at', w.began_at, 'changed_at', w.changed_at, 'origin', w.origin,
        'raised_rev', w.raised_rev,
        'actions', (select c.body from alerts.actions c where c.warning = w.id)
    )
    from alerts.warnings w
    where w.street = any(streets) and w.began_at < till and (w.open or w.changed_at >= since)
    order by w.gravity desc, w.began_at
$$;
comment on function api_alerts.brief is 'The warnings of some streets that were open in a time, as they are now: what a daily brief tells.';

revoke all on all functions in schema api_alerts from public;
grant execute on all functions in schema api_alerts to tongguan_reader;
