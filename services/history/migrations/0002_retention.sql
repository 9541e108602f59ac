create function history.drop_partitions(before date) returns int language plpgsql as $$
-- Drops the daily partitions (UTC) of days before a day, and what the default partition holds of such; returns how many partitions went.
declare
    old regclass;
    dropped int := 0;
begin
    for old in select i.inhrelid::regclass from pg_inherits i join pg_class c on c.oid = i.inhrelid
               where i.inhparent = 'history.observations'::regclass and c.relname ~ '^observations_[0-9]{8}$'
                 and to_date(right(c.relname, 8), 'YYYYMMDD') < before loop
        execute format('drop table %s', old);
        dropped := dropped + 1;
    end loop;
    delete from history.observations_other where ended_at < before::timestamp at time zone 'UTC';
    return dropped;
end
$$;
