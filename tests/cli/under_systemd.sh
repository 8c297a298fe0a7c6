#!/usr/bin/env bash
# tests/cli/under_systemd.sh UNITS SCRIPT - a systemd of our own, the first process of namespaces of its own, with the units in the folder
# UNITS and no others. It runs SCRIPT (bash, as root), shows what that printed, and ends with its exit code. wsring ($WSRING) is
# /usr/local/bin/wsring there. The host is left as it is: /run, /tmp, /var/tmp and /usr/local/bin are empty ones, the network is a loopback.
# Exit code 77, and a line that says why, where that is not to be had. Needs root.
set -u
units=$1 script=$2
skip() { echo "$*"; exit 77; }
systemd=/lib/systemd/systemd
[ -x $systemd ] || skip 'there is no systemd (systemd)'
[ "$(id -u)" -eq 0 ] || skip 'a systemd of our own needs root'
groups=/sys/fs/cgroup
[ -d $groups/unified ] && groups=$groups/unified
group=$groups/wsring-test-$$
mkdir "$group" 2>/dev/null || skip "no control group is to be had in $groups"
work=$(mktemp -d) || exit 1
leave()
{
    find "$group" -depth -type d -exec rmdir {} + 2>/dev/null
    rm -rf "$work"
}
trap leave EXIT

cp "$units"/* "$work" && cp "$script" "$work/script" && cp "$WSRING" "$work/wsring" || exit 1
# What every unit depends on, here without anything behind it.
for target in sysinit basic sockets network-online shutdown; do
    printf '[Unit]\nDefaultDependencies=no\n' >"$work/$target.target"
done
cat >"$work/script.service" <<END
[Unit]
DefaultDependencies=no
SuccessAction=exit-force
FailureAction=exit-force
[Service]
Type=oneshot
ExecStart=/bin/bash /run/units/script
Environment=PATH=$PATH PYTHON=${PYTHON:-/usr/bin/python3} WSRING=/usr/local/bin/wsring
StandardOutput=append:/run/units/out
StandardError=append:/run/units/out
END

timeout -k 5 100 bash -c "echo \$\$ >'$group/cgroup.procs' && exec unshare --mount --pid --fork --kill-child --uts --ipc --cgroup --net --mount-proc \
    --propagation private bash -e -c '
        mount -t tmpfs -o mode=755 none /run
        mkdir /run/units
        mount --bind $work /run/units
        mount -t tmpfs -o mode=1777 none /tmp
        mount -t tmpfs -o mode=1777 none /var/tmp
        mount -t tmpfs -o mode=755 none /usr/local/bin
        install -m 755 /run/units/wsring /usr/local/bin/wsring
        umount -R /sys/fs/cgroup
        mount -t cgroup2 none /sys/fs/cgroup
        mount --bind /dev/null /dev/console
        ip link set lo up
        exec env -i container=wsring SYSTEMD_UNIT_PATH=/run/units SYSTEMD_GENERATOR_PATH=/run/none \
            $systemd --system --unit=script.service --log-target=null --show-status=no'" >"$work/boot" 2>&1
status=$?
if [ -s "$work/out" ]; then cat "$work/out"; else cat "$work/boot"; fi
[ -s "$work/out" ] || skip "systemd did not come up here (exit code $status)"
exit $status
