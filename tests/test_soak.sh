#!/usr/bin/env bash
# Short soaks of servers that each have one thing wrong with them (bench/soak_bad.c): the report must say what, and fail. And one of
# a server that has nothing: the report must be well. All at once: they mostly wait. $1: the build folder.
set -u
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# What the report must say: a pattern of grep -E.
declare -A says=(
    [lose]='^NOT WELL: [1-9][0-9]* lost$'
    [wrong]='^NOT WELL: [1-9][0-9]* wrong$'
    [twice]='^NOT WELL: [1-9][0-9]* wrong$'
    [cut]='^NOT WELL: [1-9][0-9]* not clean: ws, open, ended by nobody, .*WSR_ERESET, errno 104'
    [leak]='^NOT WELL: memory of ws grows by [0-9]+ KiB an hour, [0-9]+ over the bound of 8192: [0-9]+ KiB in this run$'
    [keep]='^NOT WELL: the ws server kept [1-9][0-9]* descriptors$'
    [die]='^NOT WELL: the ws server is dead: exit code -9$'
    [nothing]='^well$'
)

# A soak of its own: a build folder with everything but the results.
soak()
{
    mkdir -p "$work/$1"
    ln -s "$(realpath "$2/wsring")" "$(realpath "$2/bench")" "$work/$1/"
    local serve="$2/bench/soak_bad $1" slope=''
    [ "$1" != nothing ] || serve=''
    # A sanitizer keeps what was freed for a while: only a real leak tells it apart.
    case $1:$2 in nothing:*/release | nothing:*/debug | leak:*) ;; *) slope=1e12 ;; esac
    MINUTES=0.1 CONNECTIONS=100 RATE=1000 SERVE=$serve SLOPE=$slope "$PYTHON" "$here/soak" "$work/$1" >"$work/$1/out" 2>&1
    echo $? >"$work/$1/code"
}

for name in "${!says[@]}"; do soak "$name" "$1" & done
wait
failed=0
for name in "${!says[@]}"; do
    [ "$name" = nothing ] && code=0 || code=1
    if grep -qE "${says[$name]}" "$work/$name/out" && [ "$(cat "$work/$name/code")" = "$code" ]; then
        echo "ok - a server that does this: $name"
    else
        echo "not ok - a server that does this: $name"
        cat "$work/$name/out"
        failed=1
    fi
done
exit $failed
