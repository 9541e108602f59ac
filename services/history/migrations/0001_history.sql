create schema history;
create schema api_history;

create table history.partitions (
    topic text,
    partition int,
    topic_epoch uuid not null,
    epoch bigint not null,
    next_offset bigint not null,
    primary key (topic, partition)
);

create table history.observations (
    sensor text not null,
    statistic text not null,
    period_s int not null,
    ended_at timestamptz not null,
    street text not null,
    domain text not null,
    department text not null,
    metrics text[] not null,
    "values" float8[] not null,
    quality text[],
    origin text not null,
    source text not null,
    event_id text not null,
    received_at timestamptz not null,
    log_partition int not null,
    log_offset bigint not null,
    primary key (sensor, ended_at, statistic, period_s)
) partition by range (ended_at);
comment on table history.observations is
    'One row an observation. quality is null when all values are good, else a flag for each metric. Of one identity the higher log position wins.';

create table history.observations_other partition of history.observations default;
comment on table history.observations_other is 'Days for which no partition was made ahead.';

create function history.make_partitions(first date, last date) returns int language plpgsql as $$
-- Makes the daily partitions (UTC) that are missing; one for which the default partition already holds rows is left to it.
declare
    day date;
    made int := 0;
begin
    for day in select generate_series(first, last, interval '1 day')::date loop
        if to_regclass(format('history.observations_%s', to_char(day, 'YYYYMMDD'))) is null
           and not exists (select from history.observations_other where ended_at >= day::timestamp at time zone 'UTC'
                           and ended_at < (day + 1)::timestamp at time zone 'UTC') then
            execute format('create table history.observations_%s partition of history.observations for values from (%L) to (%L)',
                           to_char(day, 'YYYYMMDD'), day::timestamp at time zone 'UTC', (day + 1)::timestamp at time zone 'UTC');
            made := made + 1;
        end if;
    end loop;
    return made;
end
$$;

create function history.merged(
    old_metrics text[], old_values float8[], old_quality text[], new_metrics text[], new_values float8[], new_quality text[],
    out metrics text[], out "values" float8[], out quality text[]) language sql immutable as $$
-- The new values, and the old ones of metrics that the new event does not name.
    select array_agg(m.metric order by m.metric), array_agg(m.value order by m.metric),
           case when bool_and(m.flag = 'good') then null else array_agg(m.flag order by m.metric) end
    from (
        select distinct on (metric) metric, value, coalesce(flag, 'good') as flag
        from (
            select 0 as age, n.* from unnest(new_metrics, new_values, new_quality) as n (metric, value, flag)
            union all
            select 1 as age, o.* from unnest(old_metrics, old_values, old_quality) as o (metric, value, flag)
        ) as both_events
        order by metric, age
    ) as m
$$;

create table history.warnings (
    id uuid,
    rev int,
    open boolean not null,
    street text not null,
    department text not null,
    changed_at timestamptz not null,
    body jsonb not null,
    primary key (id, rev)
);
comment on table history.warnings is 'Every revision of every warning.';

create table history.warnings_now (
    id uuid primary key,
    rev int not null,
    open boolean not null,
    street text not null,
    department text not null,
    began_at timestamptz not null,
    body jsonb not null
);
comment on table history.warnings_now is 'The newest revision of each warning.';
create index on history.warnings_now (street) where open;

create function api_history.open_warnings(streets text[]) returns table (body jsonb)
language sql stable security definer set search_path = '' as $$
    select w.body from history.warnings_now w where w.open and w.street = any(streets)
$$;
comment on function api_history.open_warnings is 'The newest revision of every open warning in some streets: the reader''s scope.';

create function api_history.positions(topic_name text) returns table (partition int, next_offset bigint)
language sql stable security definer set search_path = '' as $$
    select p.partition, p.next_offset from history.partitions p join kit.topics k on k.name = p.topic and k.epoch = p.topic_epoch
    where p.topic = topic_name
$$;
comment on function api_history.positions is 'Up to where history holds a topic; read it in one snapshot with what it holds.';

create function api_history.latest_observations(sensors text[], streets text[]) returns table (
    sensor text, street text, statistic text, period_s int, ended_at timestamptz, metrics text[], "values" float8[], quality text[], origin text, received_at timestamptz)
language sql stable security definer set search_path = '' as $$
    select o.sensor, o.street, o.statistic, o.period_s, o.ended_at, o.metrics, o."values", o.quality, o.origin, o.received_at
    from unnest(sensors) as s (sensor) cross join lateral (
        select * from history.observations h where h.sensor = s.sensor and h.street = any(streets) order by h.ended_at desc limit 16
    ) o
$$;
comment on function api_history.latest_observations is
    'The last sixteen observations of some sensors, as far as they are in some streets: the reader''s scope. A series that was silent for longer than that is not among them.';

create function api_history.warning_revisions(warning uuid, streets text[]) returns table (body jsonb)
language sql stable security definer set search_path = '' as $$
    select w.body from history.warnings w where w.id = warning and w.street = any(streets) order by w.rev
$$;
comment on function api_history.warning_revisions is 'All revisions of a warning, as far as they are in some streets: the reader''s scope.';

revoke all on all functions in schema api_history from public;
grant usage on schema api_history to tongguan_reader;
grant execute on all functions in schema api_history to tongguan_reader;
