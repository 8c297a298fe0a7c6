#!/usr/bin/env bash
# `wsring doctor`: its verdict here and on hosts that refuse io_uring, as text and as JSON; and that it tells the truth about sysctls.
# $1: the build folder.
set -u
cd "$(dirname "$0")/.." || exit 1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0
ok() { echo "ok - $1"; }
not_ok() { echo "not ok - $1"; sed 's/^/# /' "$work/out" "$work/err"; failed=1; }
check() { local name=$1; shift; if "$@"; then ok "$name"; else not_ok "$name"; fi; }
run() { timeout -k 2 60 "$@" >"$work/out" 2>"$work/err" </dev/null; status=$?; }
json() { "$PYTHON" -c "import json, sys; d = json.load(open('$work/out')); sys.exit(not ($1))"; }

run "$WSRING" doctor
check "an engine can run here: exit 0" eval '[ $status -eq 0 ] && grep -q "^An engine can run here" "$work/out" && [ ! -s "$work/err" ]'
check "no colour where there is no terminal" eval '! grep -q $'"'"'\e'"'"' "$work/out"'
run "$WSRING" doctor --color
check "colour where it is asked for" grep -q $'\e\[32m' "$work/out"
run "$WSRING" doctor --json
check "JSON: all that is needed is used" json 'd["ok"] and d["backend"] == "io_uring" and all(f["state"] == "used" for f in d["features"] if f["needed"])'
check "JSON: one set of kernels is in use" json 'sum(k["state"] == "used" for k in d["kernels"]) == 1'
check "JSON: sysctls as /proc has them" json 'all(s["current"].split() == open("/proc/sys/" + s["name"].replace(".", "/")).read().split()
    for s in d["settings"] if not s["name"].startswith("RLIMIT"))'
run env WSRING_ISA=scalar "$WSRING" doctor --json
check "JSON: the kernels that WSRING_ISA chose" json '[k["name"] for k in d["kernels"] if k["state"] == "used"] == ["scalar"]'
run "$WSRING" doctor --colour=mauve
check "a colour that is none: exit 2" eval '[ $status -eq 2 ] && [ ! -s "$work/out" ]'

"${CC:-gcc}" -std=gnu11 -O1 tests/cli/refuse.c -o "$work/refuse" || exit 1
for refusal in EPERM:SECCOMP:blocked ENOMEM:MEMLOCK:blocked ENOSYS:SECCOMP:blocked; do
    IFS=: read -r errno cause state <<<"$refusal"
    run "$work/refuse" io_uring_setup "$errno" "$WSRING" doctor --json
    check "io_uring_setup gives $errno: exit 78, $cause, all features $state" eval '[ $status -eq 78 ] &&
        json "not d[\"ok\"] and d[\"error\"] == \"WSR_EURING_$cause\" and d[\"backend\"] == \"none\" and all(f[\"state\"] == \"$state\" for f in d[\"features\"])"'
done
run "$work/refuse" io_uring_setup EPERM "$WSRING" doctor
check "text: no engine can run here, and what to do" eval '[ $status -eq 78 ] && grep -q "^No engine can run here" "$work/out" && grep -q "seccomp=PROFILE" "$work/out"'
exit $failed
