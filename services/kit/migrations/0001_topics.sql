create table kit.topics (
    name text primary key,
    epoch uuid not null default gen_random_uuid(),
    made_at timestamptz not null default now()
);
comment on table kit.topics is 'One row a topic; epoch is renewed when the topic is made anew, so that old positions are not used on it.';

-- Sessions that read other rooms'' data become this role; each room grants it its api_<room> functions.
do $$
begin
    if not exists (select from pg_roles where rolname = 'tongguan_reader') then
        create role tongguan_reader nologin;
    end if;
end
$$;
grant tongguan_reader to current_user;
