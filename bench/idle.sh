#!/bin/sh
# bench/idle.sh BUILD_FOLDER [option ...] - what `make bench-idle` runs: see bench/idle.py.
build=${1:?usage: bench/idle.sh build/release [--connections N] [--only KIND] (--help)}
shift
exec "${PYTHON:-/usr/bin/python3}" "$(dirname "$0")/idle.py" --build "$build" "$@"
