#!/usr/bin/env bash
# What tools/packaging holds does what it says: the seccomp profile lets wsring do its work, and nothing that it does not do.
# $1: the build folder. Sanitizers call what the profile does not know.
set -u
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
server=''
leave()
{
    if [ -n "$server" ]; then kill -KILL "$server" && wait "$server"; fi 2>/dev/null
    rm -rf "$work"
}
trap leave EXIT
case $1 in */release | */debug) ;; *) echo 'ok - the profile is for builds without a sanitizer'; exit 0 ;; esac
profile=$here/../tools/packaging/seccomp.json
under() { "$PYTHON" "$here/cli/under_profile.py" "$profile" "$@"; }

if under /bin/mkdir "$work/made" 2>/dev/null || [ -e "$work/made" ]; then echo 'not ok - mkdir is let through'; else echo 'ok - mkdir is refused'; fi
for scheme in ws wss; do
    tls=''
    if [ $scheme = wss ]; then tls=--tls-self-signed; fi
    rm -f "$work/ready"; mkfifo "$work/ready"
    # shellcheck disable=SC2086
    "$PYTHON" "$here/cli/under_profile.py" "$profile" "$WSRING" serve --port 0 --quiet $tls >"$work/ready" 2>"$work/err" </dev/null &
    server=$!
    line=''
    read -r -t 10 line <"$work/ready"
    line=${line%/}
    if under "$WSRING" load "$scheme://127.0.0.1:${line##*:}/" --insecure -c 10 -n 2000 -s 0-4KiB >"$work/load" 2>&1; then
        echo "ok - $scheme under the profile, both ends"
    else
        echo "not ok - $scheme under the profile: $(cat "$work/err" "$work/load")"
    fi
    kill -TERM "$server"
    if wait "$server"; then echo "ok - $scheme drains and ends"; else echo "not ok - serve ended with $?"; fi
    server=''
done
if under "$WSRING" load ws://localhost:1/ -n 1 >"$work/load" 2>&1; grep -qi 'refused' "$work/load"; then
    echo 'ok - names are resolved'
else
    echo "not ok - a name under the profile: $(cat "$work/load")"
fi
if command -v systemd-analyze >/dev/null; then
    mkdir "$work/verified"
    for unit in service socket; do sed "s|/usr/local/bin/wsring|$WSRING|" "$here/../tools/packaging/wsring.$unit" >"$work/verified/wsring.$unit"; done
    said=$(systemd-analyze verify "$work"/verified/wsring.* 2>&1 | grep 'wsring\.s')
    if [ -z "$said" ]; then echo 'ok - systemd takes the units'; else echo "not ok - $said"; fi
fi

# And runs them: tests/cli/service.sh says what must hold.
mkdir "$work/units"
cp "$here"/../tools/packaging/wsring.{service,socket} "$here/cli/callers.py" "$work/units"
"$here/cli/under_systemd.sh" "$work/units" "$here/cli/service.sh" >"$work/systemd" 2>&1
case $? in
0) cat "$work/systemd" ;;
77) echo "ok - the units under a running systemd # SKIP $(cat "$work/systemd")" ;;
*) cat "$work/systemd"; grep -q '^not ok' "$work/systemd" || echo 'not ok - the units under a running systemd' ;;
esac
