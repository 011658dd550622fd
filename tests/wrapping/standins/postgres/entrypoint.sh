set -e
user=${POSTGRES_USER:-postgres} database=${POSTGRES_DB:-$user}
if [ ! -s "$PGDATA/PG_VERSION" ]; then
    printf %s "${POSTGRES_PASSWORD:?}" >/tmp/password
    initdb -U "$user" --pwfile=/tmp/password -A scram-sha-256 --no-sync >/dev/null
    rm /tmp/password
    echo "host all all all scram-sha-256" >>"$PGDATA/pg_hba.conf"
    echo "local all all trust" >"$PGDATA/pg_hba.first"
    cat "$PGDATA/pg_hba.conf" >>"$PGDATA/pg_hba.first" && mv "$PGDATA/pg_hba.first" "$PGDATA/pg_hba.conf"
    pg_ctl start -w -o "-c listen_addresses=" >/dev/null
    [ "$database" = postgres ] || createdb -U "$user" "$database"
    pg_ctl stop -w -m fast >/dev/null
fi
exec "$@" -c listen_addresses='*'
