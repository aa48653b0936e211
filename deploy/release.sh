#!/bin/sh
# The Procfile's `release`: migrates the schema and registers the agents.
# A platform with a release phase (Heroku, Dokku) runs it alone before the programs and waits for its end. honcho,
# foreman and overmind start it beside the programs, which wait for the schema, and stop all when one ends: there it
# stays. honcho names each process in HONCHO_PROCESS_NAME, the others in PS.
set -e
factory db migrate
case "${HONCHO_PROCESS_NAME:-${PS:-}}" in
    release*) exec tail -f /dev/null ;;
esac
