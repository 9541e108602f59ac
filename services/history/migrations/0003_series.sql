create function api_history.series(
    of_sensor text, of_metric text, of_statistic text, of_period_s int, of_street text, of_department text, since timestamptz, until timestamptz, most int)
returns table (ended_at timestamptz, value float8, quality text, origin text, total bigint)
language sql stable security definer set search_path = '' as $$
    with points as (
        select o.ended_at, o."values"[m.at] as value, coalesce(o.quality[m.at], 'good') as quality, o.origin,
               count(*) over () as total, ntile(most / 2) over (order by o.ended_at) as part
        from history.observations o cross join lateral (select array_position(o.metrics, of_metric) as at) m
        where o.sensor = of_sensor and o.statistic = of_statistic and o.period_s = of_period_s
          and o.street = of_street and o.department = of_department and o.ended_at between since and until and m.at is not null
    ), ranked as (
        select p.*, row_number() over (partition by p.part order by p.value, p.ended_at) as lowest,
               row_number() over (partition by p.part order by p.value desc, p.ended_at) as highest
        from points p
    )
    select r.ended_at, r.value, r.quality, r.origin, r.total from ranked r
    where r.total <= most or r.lowest = 1 or r.highest = 1 order by r.ended_at
$$;
comment on function api_history.series is
    'The values of one series while it stood in a street and belonged to a department, both the reader''s. Of more than `most` the lowest and highest of each of most / 2 parts are kept, so that no peak is lost; total is how many there are.';

revoke all on function api_history.series from public;
grant execute on function api_history.series to tongguan_reader;
