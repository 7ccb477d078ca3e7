#!/bin/sh
# What the image of PostgreSQL does before it starts the server: a new data folder, its user, its database, and the
# scripts of the folder $FIRST. Then the command.
set -eu
if [ ! -s "$PGDATA/PG_VERSION" ]; then
  umask 077
  word=$(mktemp)
  printf '%s\n' "$POSTGRES_PASSWORD" > "$word"
  initdb -D "$PGDATA" -U "$POSTGRES_USER" -E UTF8 --locale=C --auth=scram-sha-256 --pwfile="$word" > /dev/null
  printf 'host all all all scram-sha-256\n' >> "$PGDATA/pg_hba.conf"
  # Without a server: nothing can connect to a database that is half made.
  {
    printf 'create database "%s";\n' "$POSTGRES_DB"
    for script in "$FIRST"/*.sql; do [ ! -f "$script" ] || cat "$script"; done
  } | postgres --single -D "$PGDATA" postgres > /dev/null
  rm -f "$word"
fi
exec "$@" -D "$PGDATA" -c unix_socket_directories=''
