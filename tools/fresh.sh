#!/usr/bin/env bash
# tools/fresh.sh [BUILD] - proves on a bare Debian 12 that `make demo` and `make test` are all the set-up there is.
#
# It makes a minimal Debian in a folder, copies the committed tree (HEAD) into it, installs `make` and nothing else, and runs the two
# commands there. Root only. The log is BUILD/fresh.log; its last lines are printed. Packages come from where this host's apt gets them
# (or from MIRROR). The folder is under TMPDIR and is removed, unless KEEP=1.
#
# Mounts live in a mount namespace of their own and end with it, whatever happens; so do the processes, in a pid namespace.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1

fail() { echo "fresh: $*" >&2; exit 1; }

# --- Inside the namespaces: the folder is $root, its processes see only themselves -------------------------------------

# in_root COMMAND...: with a clean environment, but for what the network of this host needs.
in_root()
{
    local keep=() name
    for name in http_proxy https_proxy no_proxy HTTP_PROXY HTTPS_PROXY NO_PROXY; do
        [ -n "${!name:-}" ] && keep+=("$name=${!name}")
    done
    [ -n "${FRESH_NPM_REGISTRY:-}" ] && keep+=("npm_config_registry=$FRESH_NPM_REGISTRY")
    chroot "$root" /usr/bin/env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root TERM=dumb LANG=C.UTF-8 \
        "${keep[@]}" "$@"
}

# step NAME COMMAND...: says how long it took; the first that fails ends it all.
step()
{
    local name=$1 begin=$SECONDS
    shift
    echo "--- fresh: $name"
    "$@" || { echo "--- fresh: $name FAILED after $((SECONDS - begin)) s"; exit 1; }
    echo "--- fresh: $name done in $((SECONDS - begin)) s"
}

inside()
{
    root=$1
    mount -t proc proc "$root/proc" || exit 1
    mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm" || exit 1
    mkdir -p "$root/dev/pts" && mount -t devpts -o newinstance,ptmxmode=0666 devpts "$root/dev/pts" || exit 1

    step 'apt-get update' in_root apt-get -q update
    step 'apt-get install make' in_root apt-get -q install -y --no-install-recommends make
    for target in ${FRESH_TARGETS:-demo test}; do
        step "make $target" in_root make -C /src/wsring "$target"
    done
}

if [ "${1:-}" = --inside ]; then
    inside "$2"
    exit 0
fi

# --- Outside: make the folder ------------------------------------------------------------------------------------------

build=${1:-build}
[ "$(id -u)" -eq 0 ] || fail "needs root, for debootstrap, mount and chroot"
command -v debootstrap >/dev/null || fail "debootstrap is missing: tools/setup.sh fresh"
git rev-parse --verify -q HEAD >/dev/null || fail "needs a git checkout: what is tested is the committed tree"
[ -z "$(git status --porcelain --untracked-files=no)" ] || echo "fresh: the tree has changes that are not committed; HEAD is what is tested"

mkdir -p "$build"
log=$build/fresh.log
root=$(mktemp -d "${TMPDIR:-/tmp}/wsring-fresh.XXXXXX") || exit 1
chmod 755 "$root" # apt drops its privileges to fetch
cleanup()
{
    trap '' INT TERM # nothing interrupts this
    # Nothing is mounted here: the namespace that had mounts is gone. One file system, to be sure.
    if [ "${KEEP:-0}" = 1 ]; then echo "fresh: kept $root"; else rm -rf --one-file-system "$root"; fi
}
trap cleanup EXIT
trap 'exit 130' INT TERM

mirror=${MIRROR:-$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Codename: bookworm' 2>/dev/null | head -n 1)}
echo "fresh: debootstrap --variant=minbase bookworm (a minute or two); log in $log"
: >"$log"
# Without a mirror debootstrap takes its own default.
debootstrap --variant=minbase bookworm "$root" ${mirror:+"$mirror"} >>"$log" 2>&1 || { tail -n 20 "$log"; fail "debootstrap failed"; }

# How this host reaches packages holds in there too: apt's sources and settings, name resolution, npm's registry, and the certificate
# authorities that were added here by hand (a proxy's, say); the ca-certificates package takes them up when it is installed.
if [ -z "${MIRROR:-}" ]; then
    rm -f "$root/etc/apt/sources.list"
    for file in /etc/apt/sources.list /etc/apt/sources.list.d/debian.sources; do
        [ -f "$file" ] && cp "$file" "$root$file"
    done
fi
cp -R /etc/apt/apt.conf.d/. "$root/etc/apt/apt.conf.d/"
[ -d /etc/apt/auth.conf.d ] && cp -R /etc/apt/auth.conf.d "$root/etc/apt/"
for file in /etc/resolv.conf /etc/hosts; do [ -f "$file" ] && cp -L "$file" "$root$file"; done
if [ -d /usr/local/share/ca-certificates ]; then
    mkdir -p "$root/usr/local/share" && cp -R /usr/local/share/ca-certificates "$root/usr/local/share/"
fi
if command -v npm >/dev/null; then FRESH_NPM_REGISTRY=$(npm config get registry 2>/dev/null) && export FRESH_NPM_REGISTRY; fi

mkdir -p "$root/src/wsring"
git archive HEAD | tar -x -C "$root/src/wsring" || fail "git archive failed"

echo "fresh: in the chroot: apt-get install make, then ${FRESH_TARGETS:-demo test}"
unshare --mount --propagation private --pid --fork --kill-child "$0" --inside "$root" >>"$log" 2>&1
status=$?

grep -E '^--- fresh|unaccounted| passed, ' "$log"
echo "--- the last lines of $log:"
tail -n 15 "$log"
if [ $status -eq 0 ]; then echo "fresh: ok"; else fail "failed, see $log"; fi
