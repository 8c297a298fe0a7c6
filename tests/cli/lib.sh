# shellcheck shell=bash disable=SC2034 # what is set here, the scripts use
# tests/cli/lib.sh - what the tests of the command share: checks, programs in the background, and waiting for what they print. Sourced by
# them, with $1: the build folder, from the top of the tree.
build=$1
wsring=${WSRING:-$build/wsring}
python=${PYTHON:-/usr/bin/python3}
export PYTHONUNBUFFERED=1
mkdir -p "$build/tests" && tmp=$(mktemp -d "$build/tests/cli.XXXXXX") || exit 1
started=()
cleanup()
{
    local pid
    for pid in "${started[@]}"; do
        kill -KILL "$pid" 2>/dev/null && wait "$pid" 2>/dev/null
    done
    rm -rf "$tmp"
}
trap cleanup EXIT
trap 'exit 130' INT TERM
n=0
failed=0

# check NAME CONDITION...: one line for a condition, and what the last command printed if it does not hold.
check()
{
    local name=$1
    shift
    n=$((n + 1))
    if "$@"; then
        echo "ok $n - $name"
    else
        echo "not ok $n - $name (exit code ${status:-none}; wanted: $*)"
        sed 's/^/# out: /' "$tmp/out" 2>/dev/null
        sed 's/^/# err: /' "$tmp/err" 2>/dev/null
        failed=1
    fi
}

# run COMMAND...: to $tmp/out, $tmp/err and $status; killed after 60 s.
run() { timeout -k 2 60 "$@" >"$tmp/out" 2>"$tmp/err" </dev/null; status=$?; }

exits() { [ "$status" -eq "$1" ]; }
out_has() { grep -qE -- "$1" "$tmp/out"; }
err_has() { grep -qE -- "$1" "$tmp/err"; }
# One line of complaint, which says what; nothing as a result.
complains() { exits "$1" && err_has "$2" && [ "$(wc -l <"$tmp/err")" -eq 1 ] && [ ! -s "$tmp/out" ]; }
# argp's way: what is wrong, then where help is.
usage_error() { exits 2 && err_has "$1" && err_has '--help' && [ ! -s "$tmp/out" ]; }

# wait_line FILE PATTERN: until a line of FILE matches, for 20 s at most.
wait_line()
{
    local i
    for ((i = 0; i < 400; i++)); do
        grep -qE -- "$2" "$1" 2>/dev/null && return 0
        sleep 0.05
    done
    return 1
}

# serve NAME OPTION...: a server in the background; its output in $tmp/NAME.out and .err, its pid in $server, its port in $port.
serve()
{
    local name=$1
    shift
    "$wsring" serve --port 0 "$@" >"$tmp/$name.out" 2>"$tmp/$name.err" </dev/null &
    server=$!
    started+=("$server")
    wait_line "$tmp/$name.out" '^listening on wss?://' || { echo "not ok - server $name does not listen"; cat "$tmp/$name.err"; exit 1; }
    port=$(sed -n 's/^listening on wss*:.*:\([0-9]*\)$/\1/p' "$tmp/$name.out")
}

# ends PID: waits for it, for 20 s at most, and leaves its exit code in $status.
ends()
{
    local i
    for ((i = 0; i < 400; i++)); do
        kill -0 "$1" 2>/dev/null || { wait "$1"; status=$?; return 0; }
        sleep 0.05
    done
    status=still-running
    return 1
}

background() { "$@" >"$tmp/$name.out" 2>"$tmp/$name.err" & pid=$!; started+=("$pid"); }

# json EXPRESSION: true of the JSON object in $tmp/out, called d.
json() { "$python" -c 'import json, sys; d = json.load(open(sys.argv[1])); sys.exit(not eval("(" + sys.argv[2] + ")"))' "$tmp/out" "$1"; }

now_ms() { local t=${EPOCHREALTIME/[.,]/}; echo $((t / 1000)); }
