#!/bin/sh
# Run by Postgres' image as its superuser, once, on an empty data directory. Also by hand on a server of your own:
#   PGUSER=postgres DATABASE_NAME=… DATABASE_USER=… DATABASE_PASSWORD=… sh deploy/postgres/init.sh
# The platform's role owns its database and is no superuser; extensions that only a superuser may make are made
# here. With POSTGRES_EXPORTER_PASSWORD there is a role too that sees statistics and no rows.
set -eu
export PGUSER="${PGUSER:-${POSTGRES_USER:-postgres}}"
# A password as the platform reads it: without white space and quotes around it, such as the newline that `echo`
# leaves at the end of a Secret.
plain() { printf %s "$1" | tr -d '\r\n' | sed -E "s/^[[:space:]]+|[[:space:]]+\$//g; s/^\"(.*)\"\$/\1/; s/^'(.*)'\$/\1/"; }
# The temporary server of the first start knows no other database yet.
run() { psql -v ON_ERROR_STOP=1 --no-psqlrc --quiet "$@"; }

# Looked for first: once the role is there, a second run would fail.
found=$(run -d postgres -tAc "SELECT default_version FROM pg_available_extensions WHERE name = 'vector'")
case "$found" in
    '' | 0.[0-7] | 0.[0-7].*)
        echo "init: pgvector 0.8 or newer is needed, this Postgres has ${found:-none}:" \
            "docs/operations/postgres.md says where to get it" >&2
        exit 1
        ;;
esac

run -d postgres -v name="$DATABASE_NAME" -v role="$DATABASE_USER" -v password="$(plain "$DATABASE_PASSWORD")" <<'SQL'
CREATE ROLE :"role" LOGIN PASSWORD :'password';
CREATE DATABASE :"name" OWNER :"role";
REVOKE ALL ON DATABASE :"name" FROM PUBLIC;
SQL

run -d "$DATABASE_NAME" <<'SQL'
CREATE EXTENSION IF NOT EXISTS vector;
CREATE EXTENSION IF NOT EXISTS pg_trgm;
CREATE EXTENSION IF NOT EXISTS pg_stat_statements;
SQL

if [ -n "${POSTGRES_EXPORTER_PASSWORD:-}" ]; then
    run -d postgres -v name="$DATABASE_NAME" -v password="$(plain "$POSTGRES_EXPORTER_PASSWORD")" <<'SQL'
CREATE ROLE postgres_exporter LOGIN PASSWORD :'password' CONNECTION LIMIT 5;
GRANT pg_monitor TO postgres_exporter;
GRANT CONNECT ON DATABASE :"name" TO postgres_exporter;
SQL
fi
