create table history.reports (
    id uuid primary key,
    department text not null,
    source text not null,
    event_id text not null,
    region text not null,
    matter text not null,
    kind text not null,
    channel text not null,
    origin text not null,
    occurred_at timestamptz not null,
    received_at timestamptz not null,
    body jsonb not null
);
comment on table history.reports is
    'Cases and events as they were reported, by their identity (`schemas.report.identity`: department, source and id). The first of an identity stands: to CloudEvents what comes with the same source and id is the same event, and a case that was opened by it must not change its ground.';
create index on history.reports (occurred_at desc, id desc);
create index on history.reports (region, occurred_at desc, id desc);
create index on history.reports (department, occurred_at desc, id desc);
create index on history.reports (department, event_id, source);
create index on history.warnings_now (department, began_at);
create index on history.warnings ((body ->> 'sensor'), changed_at);

create function api_history.reports(
    in_regions text[], for_departments text[], of_department text, of_matter text, of_kind text, of_channel text, saying text,
    since timestamptz, until timestamptz, before uuid, most int)
returns table (id uuid, body jsonb)
language sql stable security definer set search_path = '' as $$
    select r.id, r.body from history.reports r
    where exists (
            select from unnest(in_regions, for_departments) as s (region, department)
            where s.region = r.region and (s.department is null or s.department = r.department))
        and r.region = any(in_regions)
        and (of_department is null or r.department = of_department) and (of_matter is null or r.matter = of_matter)
        and (of_kind is null or r.kind = of_kind) and (of_channel is null or r.channel = of_channel)
        and (saying is null or strpos(lower(concat_ws(' ', r.body ->> 'title', r.body ->> 'description', r.body ->> 'address', r.event_id)), lower(saying)) > 0)
        and (since is null or r.occurred_at >= since) and (until is null or r.occurred_at < until)
        and (before is null or (r.occurred_at, r.id) < (
            select b.occurred_at, b.id from history.reports b where b.id = before and exists (
                select from unnest(in_regions, for_departments) as s (region, department)
                where s.region = b.region and (s.department is null or s.department = b.department))))
    order by r.occurred_at desc, r.id desc limit most
$$;
comment on function api_history.reports is
    'Reports, what occurred last first; with `before`, those before one. The reader''s scope: pairs of a region and a department of which reports in it are theirs, or null for all.';

create function api_history.report(of_id uuid) returns table (id uuid, region text, department text, body jsonb)
language sql stable security definer set search_path = '' as $$
    select r.id, r.region, r.department, r.body from history.reports r where r.id = of_id
$$;
comment on function api_history.report is 'One report; whether it is the reader''s, the caller decides by region and department.';

create function api_history.report_of_event(of_department text, of_source text, of_event text) returns table (id uuid, body jsonb)
language sql stable security definer set search_path = '' as $$
    select r.id, r.body from history.reports r where r.department = of_department and r.source = of_source and r.event_id = of_event
$$;
comment on function api_history.report_of_event is 'The report that a department''s event became.';

create function api_history.warned(of_department text, since timestamptz, until timestamptz) returns table (tier text, count bigint)
language sql stable security definer set search_path = '' as $$
    select w.body ->> 'peak', count(*) from history.warnings_now w
    where w.department = of_department and w.began_at >= since and w.began_at < until group by 1
$$;
comment on function api_history.warned is 'How many warnings of a department''s sensors began in a time, by the gravest tier that they had.';

create function api_history.accepted(
    of_department text, sensors text[], of_source text, of_event text, since timestamptz, until timestamptz, most int)
returns table (
    sensor text, statistic text, period_s int, ended_at timestamptz, metrics text[], "values" float8[], quality text[], origin text, source text,
    event_id text, received_at timestamptz)
language sql stable security definer set search_path = '' as $$
    select o.sensor, o.statistic, o.period_s, o.ended_at, o.metrics, o."values", o.quality, o.origin, o.source, o.event_id, o.received_at
    from unnest(sensors) as s (sensor) cross join lateral (
        select * from history.observations h
        where h.sensor = s.sensor and h.ended_at >= since and h.ended_at < until and h.department = of_department
            and (of_event is null or (h.event_id = of_event and h.source = of_source))
        order by h.ended_at desc limit most
    ) o
    order by o.ended_at desc, o.sensor limit most
$$;
comment on function api_history.accepted is
    'The observations of some sensors that ended in a time while they were a department''s, all or those of one event, the newest first. It goes by sensor and time: events have no index of their own, which would cost every write.';

create function api_history.warned_by(of_department text, of_sensor text, ended timestamptz) returns table (body jsonb)
language sql stable security definer set search_path = '' as $$
    select distinct on (w.id) w.body from history.warnings w
    where w.body ->> 'sensor' = of_sensor and w.department = of_department
        and w.changed_at >= ended and w.changed_at < ended + interval '1 day' and (w.body #>> '{evidence,observed_at}')::timestamptz = ended
    order by w.id, w.rev
$$;
comment on function api_history.warned_by is 'The revisions of warnings that were decided by what a department''s sensor said of a time, the first of each warning.';

revoke all on all functions in schema api_history from public;
grant execute on all functions in schema api_history to tongguan_reader;
