#!/bin/sh
# bench/echo-tls.sh BUILD_FOLDER [option ...] - what `make bench-echo TLS=1` runs: see bench/echo_tls.py.
build=${1:?usage: bench/echo-tls.sh build/release [--rounds N] [--only SCENARIO] ... (--help)}
shift
exec "${PYTHON:-/usr/bin/python3}" "$(dirname "$0")/echo_tls.py" --build "$build" "$@"
