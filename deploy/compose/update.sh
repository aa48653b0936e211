#!/bin/sh
# Updates a running installation to the code of this directory, without a failed request: one gateway serves while
# the other is made anew. Dispatchers go before workers, and workers before gateways. Options are for
# workers, such as --scale worker=3: without it one worker is left.
set -eu
cd "$(dirname "$0")/../.."

docker compose build
# Adds what the new code needs; the old code goes on with it.
docker compose run --rm migrate
docker compose up -d --no-deps --wait --scale dispatcher=2 dispatcher
docker compose up -d --no-deps --wait "$@" worker exporter flower
# --wait: the second goes only when the first is ready.
docker compose up -d --no-deps --wait gateway-1
docker compose up -d --no-deps --wait gateway-2
