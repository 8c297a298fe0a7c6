#!/bin/sh
# bench/net.sh BUILD_FOLDER [option ...] - what `make bench-net` runs: see bench/net.py.
build=${1:?usage: bench/net.sh build/release [--rounds N] [--only SCENARIO] ... (--help)}
shift
exec "${PYTHON:-/usr/bin/python3}" "$(dirname "$0")/net.py" --build "$build" "$@"
