create table ingest.partitions (
    topic text,
    partition int,
    topic_epoch uuid not null,
    epoch bigint not null,
    next_offset bigint not null,
    primary key (topic, partition)
);

create table ingest.flow (
    department text,
    door text,
    minute timestamptz,
    observations bigint not null,
    reports bigint not null,
    refused bigint not null,
    late bigint not null,
    primary key (department, minute, door)
);
comment on table ingest.flow is 'What became of events in numbers, by department, minute of receipt and door (`<protocol>@<node>`). Kept 400 days.';

create table ingest.sensor_health (
    sensor text primary key,
    heard_at timestamptz not null,
    ended_at timestamptz not null,
    readings bigint not null,
    "values" bigint not null,
    bad bigint not null,
    late bigint not null,
    gaps bigint not null,
    longest_gap_s float8 not null,
    skew_s float8 not null
);
comment on table ingest.sensor_health is 'How each sensor is: when it was heard, of which time it spoke last, and counts since the first reading.';

create table ingest.rejected (
    id uuid primary key,
    department text not null,
    adapter text not null,
    address text not null,
    content_type text not null,
    received_at timestamptz not null,
    code text not null,
    "where" text not null,
    message text not null,
    hint text not null,
    event text,
    sensor text,
    body bytea not null,
    size int not null,
    sha256 text not null,
    state text not null default 'kept' check (state in ('kept', 'sent_again', 'discarded')),
    changed_at timestamptz,
    changed_by text,
    again jsonb
);
comment on table ingest.rejected is 'What stands on city.rejected, and what was done about it. `again` says what became of it when it was sent again.';
create index on ingest.rejected (department, received_at desc, id desc);
create index on ingest.rejected (department, code, received_at desc);

create table ingest.unknown (
    adapter text,
    device text,
    department text not null,
    first_at timestamptz not null,
    last_at timestamptz not null,
    count bigint not null,
    sample jsonb not null,
    primary key (adapter, device, department)
);
comment on table ingest.unknown is 'Devices and sensors that were heard and that nobody registered: for adoption. `device` is the name in the protocol, or the sensor''s id.';

create table ingest.keys (
    id text primary key,
    department text not null,
    digest bytea not null unique,
    label text not null,
    scope jsonb not null,
    made_at timestamptz not null,
    made_by text not null,
    expires_at timestamptz,
    revoked_at timestamptz,
    revoked_by text,
    used_at timestamptz
);
comment on table ingest.keys is 'Departments'' keys by SHA-256: the keys themselves are known to the departments only.';

create table ingest.commands (
    id uuid primary key,
    decided_at timestamptz not null,
    outcome text not null,
    detail jsonb not null
);
comment on table ingest.commands is 'What was decided of each command to ingest. Kept 30 days, as city.commands is.';
create index on ingest.commands (decided_at);

create function api_ingest.decided(ids uuid[]) returns table (id uuid, outcome text, detail jsonb)
language sql stable security definer set search_path = '' as $$
    select c.id, c.outcome, c.detail from ingest.commands c where c.id = any(ids)
$$;
comment on function api_ingest.decided is 'What was decided of some commands; those that were not decided yet are left out.';

create index on ingest.rejected (received_at);
create index on ingest.rejected (department, event) where event is not null;
create index on ingest.unknown (department, last_at);
create index on ingest.flow using brin (minute);

create table ingest.refusals (
    department text primary key,
    kept bigint not null,
    bytes bigint not null,
    left_out bigint not null
);
comment on table ingest.refusals is 'How many refusals of a department stand in ingest.rejected, and how many went before their 30 days were over.';

create table ingest.doors (
    door text,
    department text,
    stopped_at timestamptz not null,
    said_at timestamptz not null,
    why text not null,
    reopen_by text,
    primary key (door, department)
);
comment on table ingest.doors is 'Which doors (`<protocol>@<node>`) are stopped for which departments; a node says so again every few seconds.';

create function api_ingest.flow_by_hour(of_department text, since timestamptz, until timestamptz)
returns table (hour timestamptz, door text, observations bigint, reports bigint, refused bigint, late bigint)
language sql stable security definer set search_path = '' as $$
    select date_trunc('hour', f.minute, 'UTC'), split_part(f.door, '@', 1), sum(f.observations)::bigint, sum(f.reports)::bigint,
        sum(f.refused)::bigint, sum(f.late)::bigint
    from ingest.flow f where f.department = of_department and f.minute >= since and f.minute < until group by 1, 2 order by 1, 2
$$;
comment on function api_ingest.flow_by_hour is 'What became of a department''s events by hour (UTC) and protocol; `again` is what was sent again.';

create function api_ingest.refused_by_reason(of_department text, since timestamptz, until timestamptz)
returns table (code text, state text, count bigint, newest timestamptz)
language sql stable security definer set search_path = '' as $$
    select r.code, r.state, count(*), max(r.received_at) from ingest.rejected r
    where r.department = of_department and r.received_at >= since and r.received_at < until group by 1, 2 order by 3 desc, 1, 2
$$;
comment on function api_ingest.refused_by_reason is 'The refusals of a department that are kept, by reason and state.';

create function api_ingest.left_out(of_department text) returns bigint
language sql stable security definer set search_path = '' as $$
    select coalesce((select r.left_out from ingest.refusals r where r.department = of_department), 0)
$$;
comment on function api_ingest.left_out is 'How many refusals of a department went before their time, because there were too many.';

create view ingest.refused as
    select r.id, r.department, r.adapter, r.address, r.content_type, r.received_at, r.code, r."where", r.message, r.hint, r.event, r.sensor, r.size,
        r.sha256, length(r.body) as kept, r.state, r.changed_at, r.changed_by, r.again
    from ingest.rejected r;
comment on view ingest.refused is 'What was refused, without its bytes.';

create function api_ingest.refused(
    of_department text, of_code text, of_sensor text, of_state text, of_protocol text, of_event text, saying text,
    since timestamptz, until timestamptz, before uuid, most int)
returns setof ingest.refused
language sql stable security definer set search_path = '' as $$
    select r.id, r.department, r.adapter, r.address, r.content_type, r.received_at, r.code, r."where", r.message, r.hint, r.event, r.sensor,
        r.size, r.sha256, length(r.body), r.state, r.changed_at, r.changed_by, r.again
    from ingest.rejected r
    where r.department = of_department
        and (of_code is null or r.code = of_code) and (of_sensor is null or r.sensor = of_sensor) and (of_state is null or r.state = of_state)
        and (of_protocol is null or split_part(r.adapter, '@', 1) = of_protocol) and (of_event is null or r.event = of_event)
        and (saying is null or strpos(lower(concat_ws(' ', r.message, r.hint, r.event, r.sensor, r."where")), lower(saying)) > 0
             or position(convert_to(saying, 'UTF8') in r.body) > 0)
        and (since is null or r.received_at >= since) and (until is null or r.received_at < until)
        and (before is null or (r.received_at, r.id) < (
            select b.received_at, b.id from ingest.rejected b where b.id = before and b.department = of_department))
    order by r.received_at desc, r.id desc limit most
$$;
comment on function api_ingest.refused is
    'The refusals of a department, the newest first; with `before`, those before one. `saying` is looked for in what is told and in the bytes as they came.';

create function api_ingest.refused_one(of_department text, of_id uuid) returns setof ingest.refused
language sql stable security definer set search_path = '' as $$
    select v.* from ingest.refused v where v.department = of_department and v.id = of_id
$$;
comment on function api_ingest.refused_one is 'One refusal of a department.';

create function api_ingest.refused_body(of_department text, of_id uuid) returns bytea
language sql stable security definer set search_path = '' as $$
    select r.body from ingest.rejected r where r.department = of_department and r.id = of_id
$$;
comment on function api_ingest.refused_body is 'The bytes of one refusal of a department, as far as they are kept.';

create function api_ingest.doors(of_department text) returns table (
    protocol text, heard_at timestamptz, stopped_at timestamptz, why text, nodes text[])
language sql stable security definer set search_path = '' as $$
    with heard as (
        select split_part(f.door, '@', 1) as protocol, max(f.minute) as heard_at
        from ingest.flow f where f.department = of_department and f.minute > clock_timestamp() - interval '30 days' and f.door <> 'again' group by 1
    ), stopped as (
        select split_part(d.door, '@', 1) as protocol, min(d.stopped_at) as stopped_at, max(d.why) as why,
            array_agg(split_part(d.door, '@', 2) order by d.door) as nodes
        from ingest.doors d where d.department = of_department and d.said_at > clock_timestamp() - interval '60 seconds' group by 1
    )
    select coalesce(h.protocol, s.protocol), h.heard_at, s.stopped_at, s.why, coalesce(s.nodes, '{}')
    from heard h full join stopped s on s.protocol = h.protocol order by 1
$$;
comment on function api_ingest.doors is
    'The ways by which a department was heard within 30 days (to the minute), and at which nodes they are stopped for it.';

create table ingest.devices (
    protocol text,
    device text,
    node text not null,
    address text not null,
    connected_at timestamptz not null,
    last_at timestamptz not null,
    gone_at timestamptz,
    skew_s float8,
    primary key (protocol, device)
);
comment on table ingest.devices is
    'The newest connection of each registered device that keeps one. While `gone_at` is null it stands if the node lives: if `<protocol>@<node>` reports in ingest.adapters.';
create index on ingest.devices (node) where gone_at is null;

create table ingest.patrols (
    id uuid primary key,
    device text not null,
    department text not null,
    asked_by text not null,
    asked_at timestamptz not null,
    within_s int not null,
    until timestamptz not null,
    state text not null default 'asked' check (state in ('asked', 'sent', 'answered', 'missed', 'denied', 'not_connected')),
    node text,
    sent_at timestamptz,
    confirmed_at timestamptz,
    answered_at timestamptz,
    operator int
);
comment on table ingest.patrols is 'Calls for whoever is on duty at a building (查岗), and what came of them; `id` is the command''s. Kept 400 days.';
create index on ingest.patrols (state, asked_at) where state in ('asked', 'sent');
create index on ingest.patrols (department, asked_at desc, id desc);
create index on ingest.patrols (device, asked_at desc);

create function api_ingest.patrols(of_departments text[], of_device text, before uuid, most int) returns table (
    id uuid, device text, department text, asked_by text, asked_at timestamptz, until timestamptz, state text, sent_at timestamptz,
    answered_at timestamptz, operator int)
language sql stable security definer set search_path = '' as $$
    select p.id, p.device, p.department, p.asked_by, p.asked_at, p.until,
        case when p.state in ('asked', 'sent') and clock_timestamp() > p.until + interval '30 seconds'
            then case when p.confirmed_at is null then 'not_connected' else 'missed' end else p.state end,
        p.sent_at, p.answered_at, p.operator
    from ingest.patrols p
    where (of_departments is null or p.department = any(of_departments)) and (of_device is null or p.device = of_device)
        and (before is null or (p.asked_at, p.id) < (select b.asked_at, b.id from ingest.patrols b where b.id = before))
    order by p.asked_at desc, p.id desc limit most
$$;
comment on function api_ingest.patrols is
    'Patrol checks (查岗) of some departments or, with null, of all, the newest first; of one device where it is named; with `before`, those before one.';

create index on ingest.sensors using gin ((body -> 'link') jsonb_path_ops);

create function api_ingest.devices(of_department text) returns table (
    protocol text, device text, sensors bigint, address text, connected boolean, connected_at timestamptz, last_at timestamptz, skew_s float8)
language sql stable security definer set search_path = '' as $$
    with linked as (
        select s.body -> 'link' ->> 'protocol' as protocol, coalesce(s.body -> 'link' ->> 'mn', s.body -> 'link' ->> 'device') as device, count(*) as sensors
        from ingest.sensors s
        where s.body ->> 'department' = of_department and s.body -> 'link' ->> 'protocol' in ('hj212', 'gb26875') group by 1, 2
    )
    select l.protocol, l.device, l.sensors, d.address,
        d.gone_at is null and exists (
            select from ingest.adapters a
            where a.adapter = d.protocol || '@' || d.node and a.reported_at > clock_timestamp() - interval '10 seconds'),
        d.connected_at, d.last_at, d.skew_s
    from linked l left join ingest.devices d on d.protocol = l.protocol and d.device = l.device
    order by l.protocol, l.device
$$;
comment on function api_ingest.devices is
    'The devices behind a department''s sensors that keep a connection (HJ 212, GB/T 26875.3), and whether they are connected now; nulls of one that never was.';

create function ingest.health_of(sensor jsonb, heard_at timestamptz, bad bigint, "values" bigint, now timestamptz) returns text
language sql stable set search_path = '' as $$
    select case
        when heard_at is not null and heard_at >= now - greatest(2 * coalesce((sensor ->> 'every')::interval, '30 minutes'), '1 minute')
            then case when bad > 0.1 * "values" then 'doubtful' else 'well' end
        when coalesce(sensor ->> 'life', 'active') <> 'active' then 'unused'
        when heard_at is null then 'unheard'
        else 'silent'
    end
$$;
comment on function ingest.health_of is
    'How a sensor is in a word. Silent: not heard for twice its `every` (or an hour); unused: silent, and not in use; doubtful: a tenth of its values is flagged.';

create view ingest.registry as
    select s.id, s.street, s.body, h.heard_at, h.ended_at, h.readings, h."values", h.bad, h.late, h.gaps, h.longest_gap_s, h.skew_s
    from ingest.sensors s left join ingest.sensor_health h on h.sensor = s.id;
comment on view ingest.registry is 'The registry, with how each sensor is.';

create function api_ingest.sensor(of_sensor text, now timestamptz) returns table (
    body jsonb, state text, heard_at timestamptz, ended_at timestamptz, readings bigint, "values" bigint, bad bigint, late bigint, gaps bigint,
    longest_gap_s float8, skew_s float8)
language sql stable security definer set search_path = '' as $$
    select r.body, ingest.health_of(r.body, r.heard_at, r.bad, r."values", now), r.heard_at, r.ended_at, r.readings, r."values", r.bad, r.late, r.gaps,
        r.longest_gap_s, r.skew_s
    from ingest.registry r where r.id = of_sensor
$$;
comment on function api_ingest.sensor is 'One sensor of the registry, and how it is.';

create function api_ingest.sensors(
    whole text[], streets text[], departments text[], known text[], of_department text, of_domain text, of_life text, of_station text,
    of_protocol text, of_health text, saying text, after text, most int, now timestamptz)
returns table (
    body jsonb, state text, heard_at timestamptz, ended_at timestamptz, readings bigint, "values" bigint, bad bigint, late bigint, gaps bigint,
    longest_gap_s float8, skew_s float8)
language sql stable security definer set search_path = '' as $$
    select r.body, ingest.health_of(r.body, r.heard_at, r.bad, r."values", now), r.heard_at, r.ended_at, r.readings, r."values", r.bad, r.late, r.gaps,
        r.longest_gap_s, r.skew_s
    from ingest.registry r
    where (after is null or r.id > after)
        and (r.street = any(whole) or r.street <> all(known)
             or (r.street, r.body ->> 'department') in (select t.street, t.department from unnest(streets, departments) as t (street, department)))
        and (of_department is null or r.body ->> 'department' = of_department) and (of_domain is null or r.body ->> 'domain' = of_domain)
        and (of_life is null or coalesce(r.body ->> 'life', 'active') = of_life) and (of_station is null or r.body ->> 'station' = of_station)
        and (of_protocol is null or r.body ->> 'adapter' = of_protocol)
        and (of_health is null or ingest.health_of(r.body, r.heard_at, r.bad, r."values", now) = of_health)
        and (saying is null or strpos(lower(concat_ws(' ', r.id, r.body #>> '{name,zh}', r.body #>> '{name,en}', r.body #>> '{place,zh}',
            r.body #>> '{place,en}', r.body ->> 'station', r.body ->> 'cim', r.body -> 'link')), lower(saying)) > 0)
    order by r.id limit most
$$;
comment on function api_ingest.sensors is
    'Sensors by id, after one: of the streets in `whole`, of those in `streets` only the department beside each, and where `known` is given those of no known region.';

create function api_ingest.unknown(of_departments text[], of_protocol text, saying text, most int) returns table (
    protocol text, device text, department text, first_at timestamptz, last_at timestamptz, count bigint, sample jsonb)
language sql stable security definer set search_path = '' as $$
    select u.adapter, u.device, u.department, u.first_at, u.last_at, u.count, u.sample
    from ingest.unknown u
    where (of_departments is null or u.department = any(of_departments)) and (of_protocol is null or u.adapter = of_protocol)
        and (saying is null or strpos(lower(u.device), lower(saying)) > 0)
        and not exists (select from ingest.sensors s where s.id = u.device and u.adapter in ('http', 'inbound'))
        and not exists (select from ingest.sensors s where s.body -> 'link' @> case u.adapter
            when 'hj212' then jsonb_build_object('protocol', 'hj212', 'mn', u.device)
            when 'gb26875' then jsonb_build_object('protocol', 'gb26875', 'device', u.device)
            when 'mqtt' then jsonb_build_object(
                'protocol', 'mqtt', 'mapping', split_part(u.device, '/', 1), 'device', substr(u.device, strpos(u.device, '/') + 1)) end)
    order by u.last_at desc, u.adapter, u.device, u.department limit most
$$;
comment on function api_ingest.unknown is
    'Devices and sensors that were heard and are registered by nobody still, of some departments or, with null, of all: the last heard first.';

create function api_ingest.keys(of_departments text[]) returns table (
    id text, department text, label text, scope jsonb, made_at timestamptz, made_by text, expires_at timestamptz, revoked_at timestamptz,
    revoked_by text, used_at timestamptz)
language sql stable security definer set search_path = '' as $$
    select k.id, k.department, k.label, k.scope, k.made_at, k.made_by, k.expires_at, k.revoked_at, k.revoked_by, k.used_at
    from ingest.keys k
    where k.department = any(of_departments)
        and least(coalesce(k.expires_at, 'infinity'), coalesce(k.revoked_at, 'infinity')) > clock_timestamp() - interval '90 days'
    order by k.made_at desc, k.id
$$;
comment on function api_ingest.keys is 'The keys of some departments that are good, or ended within 90 days, the newest first; without their SHA-256.';

revoke all on all functions in schema api_ingest from public;
grant execute on all functions in schema api_ingest to tongguan_reader;
