#!/bin/sh
# The role and the database of Tongguan. The image runs it once, when it makes a new cluster.
# The role may make other roles (the migrations make the one that only reads) and is no superuser.
# From template0: the image puts its extensions into template1, and what a database has from there stands in the way of restoring a dump.
set -eu
password=$(cat "${DATABASE_PASSWORD_FILE:-/run/secrets/database-password}")

psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --set password="$password" --username "${POSTGRES_USER:-postgres}" --dbname postgres <<'SQL'
create role tongguan login createrole password :'password';
create database tongguan owner tongguan template template0;
SQL
