create table kit.deployment (
    id uuid not null default gen_random_uuid(),
    city text not null,
    folder uuid,
    folder_path text,
    taken_at timestamptz not null default now()
);
create unique index deployment_is_one on kit.deployment ((true));
comment on table kit.deployment is
    'One row: the city whose data these are, and the data folder of `tongguan up` that has the passwords; none for one that was deployed by services.';
