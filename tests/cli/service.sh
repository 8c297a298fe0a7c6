# shellcheck shell=bash
# tests/cli/service.sh - the checks of tools/packaging/wsring.service and wsring.socket under a running systemd: tests/cli/under_systemd.sh
# runs them. One "ok" or "not ok" line each.
set -u
failed=0
check()
{
    local name=$1
    shift
    if "$@"; then echo "ok - systemd: $name"; else echo "not ok - systemd: $name"; failed=1; fi
}
is() { [ "$(systemctl show -P "$1" wsring.service)" = "$2" ]; }
of_process() { grep -q "^$1:[[:space:]]*$2\$" "/proc/$(systemctl show -P MainPID wsring.service)/status"; }
url=ws://127.0.0.1:8080/
uid() { awk '/^Uid:/ { print $2 }' "/proc/$(systemctl show -P MainPID wsring.service)/status"; }
load() { "$WSRING" load "$@" "$url" >/run/load 2>&1 || { sed 's/^/# /' /run/load; false; }; }

systemctl start wsring.socket
check 'the socket listens, and no service runs' is ActiveState inactive
check 'the first connection starts the service, and is served' load -n 2000 -c 20 -s 0-64KiB
check 'it runs' is ActiveState active
pid=$(systemctl show -P MainPID wsring.service)
check "it has a user of its own, $(uid)" eval '[ "$(uid)" -ge 61184 ] && [ "$(uid)" -le 65519 ]'
check 'it has no capabilities' of_process CapBnd 0000000000000000
check 'and gets no new privileges' of_process NoNewPrivs 1
check 'a filter of system calls is in force' of_process Seccomp 2
check 'no file of the system can be written, none of the users be read' eval \
    'mounts=$(cat /proc/$pid/mountinfo) && grep -q " / / ro" <<<"$mounts" && grep -q " /home ro" <<<"$mounts"'
systemctl reload wsring.service
check 'a reload leaves it running' eval 'load -n 100 && is MainPID "$pid"'

# Who connects meanwhile, again and again, must be served: no refusal, no end of the stream before an answer.
"$PYTHON" /run/units/callers.py 8080 >/run/callers 2>&1 &
callers=$!
"$WSRING" load -c 40 -d 4 -s 0-16KiB -t 60 --reconnect=fast --patience 30s --json "$url" >/run/load 2>&1 &
loaded=$!
sleep 1
for _ in 1 2 3; do
    systemctl restart wsring.service
    sleep 0.5
done
check 'restarts are other processes' eval '! is MainPID "$pid"'
check 'none of them failed' is Result success
sleep 2
kill -INT $callers $loaded
wait $callers
check "callers during three restarts: $(cat /run/callers)" [ $? -eq 0 ]
wait $loaded
check 'a load comes back after each, and accounts for every message' [ $? -eq 0 ]
"$PYTHON" -c 'import json; d = json.load(open("/run/load")); print("# load:", d["connections"], d["messages"], d["closes"])' || cat /run/load

systemctl stop wsring.socket wsring.service
check 'it stops in order' is Result success
check 'and then nobody listens' eval '! "$WSRING" connect --quiet "$url" </dev/null'
exit $failed
