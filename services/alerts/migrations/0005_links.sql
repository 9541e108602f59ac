-- What the gateway reads besides: whose a link is, and things by their ids

create function api_alerts.person(of text) returns table (name jsonb)
language sql stable security definer set search_path = '' as $$
    select p.name from alerts.people p where p.id = of
$$;
comment on function api_alerts.person is 'The name of somebody of alerting.yaml; no row for others.';

create function api_alerts.team(of text) returns table (body jsonb)
language sql stable security definer set search_path = '' as $$
    select t.body from alerts.teams t where t.id = of
$$;
comment on function api_alerts.team is 'One team (schemas.alerting.Team).';

create function api_alerts.teams_of(whom text) returns table (body jsonb)
language sql stable security definer set search_path = '' as $$
    select t.body from alerts.teams t
    where t.body -> 'always' ? whom
        or exists (select from jsonb_path_query(t.body, '$.rotations[*].crews[*][*]') c (person) where c.person = to_jsonb(whom))
    order by t.id
$$;
comment on function api_alerts.teams_of is
    'The teams in which somebody is by alerting.yaml; not those in which they were only put on duty: who may do that learns nothing by it.';

create function api_alerts.silence(of uuid) returns table (body jsonb)
language sql stable security definer set search_path = '' as $$
    select s.body from alerts.silences s where s.id = of
$$;
comment on function api_alerts.silence is 'One silence; the caller decides by region and departments who may see it.';

create function api_alerts.handover(of uuid) returns table (body jsonb)
language sql stable security definer set search_path = '' as $$
    select h.body from alerts.handovers h where h.id = of
$$;
comment on function api_alerts.handover is 'One hand-over; the caller decides by its region who may see it.';

create function api_alerts.told_at(of uuid, upto int) returns table (at timestamptz)
language sql stable security definer set search_path = '' as $$
    select min(n.decided_at) from alerts.notifications n
    where n.alert = of and n.message = (select max(x.message) from alerts.notifications x where x.alert = of and x.message <= upto)
$$;
comment on function api_alerts.told_at is 'When the newest message of an alert up to a number was decided; null when that is kept no longer.';

create function api_alerts.raised(of uuid[]) returns table (warning uuid, rev int)
language sql stable security definer set search_path = '' as $$
    select w.id, w.raised_rev from alerts.warnings w where w.id = any(of)
$$;
comment on function api_alerts.raised is 'The revisions that last opened some warnings or made them graver: an answer to an earlier one does not hold.';

create function api_alerts.spread(of uuid[], upto int default null)
returns table (alert uuid, street text, department text, open bigint, gravity smallint, open_gravity smallint)
language sql stable security definer set search_path = '' as $$
    select m.alert, w.street, w.department, count(*) filter (where w.open), max(w.gravity), max(w.gravity) filter (where w.open)
    from alerts.members m join alerts.warnings w on w.id = m.warning
    where m.alert = any(of) and (upto is null or m.first_message between 1 and upto) group by m.alert, w.street, w.department
$$;
comment on function api_alerts.spread is
    'What some alerts have by street and department, so that nobody is told a sum in which others'' warnings are; '
    'with upto only of what their messages up to that one told.';

create function api_alerts.seen(of uuid[], streets text[], departments text[], upto int default null) returns table (alert uuid, body jsonb)
language sql stable security definer set search_path = '' as $$
    select a.id, jsonb_build_object(
        'id', a.id, 'message', a.message, 'storm', a.storm is not null, 'origin', a.origin,
        'opened_at', a.opened_at, 'closed_at', a.closed_at, 'unanswered', a.unanswered,
        'warnings', (
            select coalesce(jsonb_agg(x.body order by x.open desc, x.gravity desc, x.changed_at), '[]') from (
                select w.open, w.gravity, w.changed_at, jsonb_build_object(
                    'id', w.id, 'rev', w.rev, 'gravity', w.gravity, 'open', w.open, 'text', w.text, 'place', w.place, 'sensor', w.sensor,
                    'street', w.street, 'department', w.department, 'began_at', w.began_at, 'changed_at', w.changed_at,
                    'actions', (select c.body from alerts.actions c where c.warning = w.id)
                ) as body
                from alerts.members m join alerts.warnings w on w.id = m.warning
                where m.alert = a.id and (upto is null or m.first_message between 1 and upto)
                    and (w.street, w.department) in (select p.street, p.department from unnest(streets, departments) p (street, department))
                order by w.open desc, w.gravity desc, w.changed_at limit 50
            ) x
        )
    ) from alerts.alerts a where a.id = any(of)
$$;
comment on function api_alerts.seen is
    'Some alerts, each with the 50 gravest of its warnings that are of some pairs of street and department; '
    'with upto only of those that its messages up to that one told.';

revoke all on all functions in schema api_alerts from public;
grant execute on all functions in schema api_alerts to tongguan_reader;
