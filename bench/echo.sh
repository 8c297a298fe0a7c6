#!/bin/sh
# bench/echo.sh BUILD_FOLDER [option ...] - what `make bench-echo` runs: see bench/echo.py.
build=${1:?usage: bench/echo.sh build/release [--rounds N] [--only SCENARIO] ... (--help)}
shift
exec "${PYTHON:-/usr/bin/python3}" "$(dirname "$0")/echo.py" --build "$build" "$@"
