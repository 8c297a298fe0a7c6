#!/bin/sh
# bench/profile.sh BUILD_FOLDER [option ...] - what `make bench-profile` runs: see bench/profile.py.
build=${1:?usage: bench/profile.sh build/release [--only SCENARIO] ... (--help)}
shift
exec "${PYTHON:-/usr/bin/python3}" "$(dirname "$0")/profile.py" --build "$build" "$@"
