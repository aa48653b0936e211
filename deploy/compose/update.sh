#!/bin/sh
# Updates a running installation to the code of this directory, without a failed request: one gateway serves while
# the other is made anew. Dispatchers go before workers, and workers before gateways. Options are for
# workers, such as --scale worker=3: without it one worker is left.
set -eu
cd "$(dirname "$0")/../.."

# Of earlier releases: compose would stop some of its containers, and fail to make it anew.
network='{{range .IPAM.Config}}{{.IPRange}}{{end}}'
if [ -z "$(docker network inspect --format "$network" agent-factory-network)" ]; then
    echo "update: the network has to be made anew, this once and with a pause: docker compose build, then" >&2
    echo "  docker compose --profile monitoring down && docker compose up -d --wait $*" >&2
    exit 1
fi

docker compose build
# Adds what the new code needs; the old code goes on with it.
docker compose run --rm migrate
docker compose up -d --no-deps --wait --scale dispatcher=2 dispatcher
docker compose up -d --no-deps --wait "$@" worker exporter flower
# --wait: the second goes only when the first is ready.
docker compose up -d --no-deps --wait gateway-1
docker compose up -d --no-deps --wait gateway-2
