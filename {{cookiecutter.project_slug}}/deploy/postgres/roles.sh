#!/bin/sh
# Runs once, when the database is new: the role that serves. It owns nothing, so row security binds it; what it needs
# it gets from `app migrate`, which runs as the owner.
set -eu
psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --set password="$(cat /run/secrets/service_password)" \
  --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" <<'SQL'
create role service login nosuperuser nocreatedb nocreaterole nobypassrls password :'password';
SQL
