#!/usr/bin/env bash
# tools/setup.sh - installs what is missing for one purpose, by name, with apt (and npm for peers that only npm has).
#
#   tools/setup.sh build|test|bench|coverage|fuzz|lint|neon|netns|fresh|soak|tsan|valgrind
#
# It looks for what is really used (a command, a header, a module), not for packages, so a host that got them elsewhere is left
# alone. When nothing is missing it changes nothing and needs neither root nor a network. `build` never pulls in what only tests
# or benches need. Exit code 0: all there; 1: something is still missing, and the last lines say what and why.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1

purpose=${1:-}
cc=${CC:-gcc}
python=${PYTHON:-/usr/bin/python3}

say() { printf 'setup %s: %s\n' "$purpose" "$*"; }
fail() { printf 'setup %s: %s\n' "$purpose" "$*" >&2; exit 1; }

# --- Probes: is it there? ----------------------------------------------------------------------------------------------

has_command() { command -v "$1" >/dev/null 2>&1; }
has_file() { [ -e "$1" ]; }
has_sbin() { PATH=$PATH:/usr/sbin:/sbin has_command "$1"; } # which a user's path need not have
has_python() { [ -x "$python" ] && "$python" -c "import $1" >/dev/null 2>&1; }
has_header() { has_command "$cc" && printf '#include <%s>\n' "$1" | "$cc" -E -x c - >/dev/null 2>&1; }
has_cxx_header() { has_command g++ && printf '#include <%s>\n' "$1" | g++ -E -x c++ - >/dev/null 2>&1; }
# Debian's runtimes of clang come apart from clang itself.
has_fuzzer() { has_command clang && printf 'int LLVMFuzzerTestOneInput(void){return 0;}\n' |
    clang -fsanitize=fuzzer,address -x c - -o /dev/null >/dev/null 2>&1; }

# Every exact version that DIR/package.json asks for is in DIR/node_modules.
has_npm_peers()
{
    local name version
    [ -f "$1/package.json" ] || return 0
    while read -r name version; do
        grep -q "\"version\": *\"$version\"" "$1/node_modules/$name/package.json" 2>/dev/null || return 1
    done < <(npm_wanted "$1")
}
npm_wanted() { sed -n '/"dependencies"/,/}/s/^ *"\([^"]*\)": *"\([0-9][^"]*\)".*/\1 \2/p' "$1/package.json"; }

# --- What each purpose needs: apt package, then the probe that says whether it is there --------------------------------

missing=()
need()
{
    local package=$1
    shift
    "$@" || missing+=("$package")
}

compiler_package()
{
    case ${cc##*/} in
    clang*) echo "${cc##*/}" ;;
    *) echo gcc ;;
    esac
}

needs_build()
{
    need make has_command make
    need "$(compiler_package)" has_command "$cc"
    need libc6-dev has_header stdio.h
    need liburing-dev has_header liburing.h
    need libssl-dev has_header openssl/ssl.h
    need zlib1g-dev has_header zlib.h
    need libisal-dev has_header isa-l/igzip_lib.h
}

needs_npm()
{
    has_npm_peers "$1" && return
    need ca-certificates has_file /etc/ssl/certs/ca-certificates.crt
    need npm has_command npm
}

needs_test()
{
    needs_build
    need g++ has_command g++
    need libcmocka-dev has_header cmocka.h
    need openssl has_command openssl
    need python3-websockets has_python websockets
    need python3-aiohttp has_python aiohttp
    need libwebsockets-dev has_header libwebsockets.h
    need nginx-light has_file /usr/sbin/nginx
    need haproxy has_file /usr/sbin/haproxy
    need tinyproxy-bin has_command tinyproxy
    need microsocks has_command microsocks
    need nodejs has_command node
    need tshark has_command tshark
    needs_netns
    need systemd has_file /lib/systemd/systemd
    need chromium has_command chromium
    needs_npm tests/peers
}

needs_netns()
{
    needs_build
    need iproute2 has_sbin ip
    need nftables has_sbin nft
    need util-linux has_command unshare
    need python3-websockets has_python websockets
}

needs_bench()
{
    needs_build
    need g++ has_command g++
    need libbenchmark-dev has_cxx_header benchmark/benchmark.h
    need libboost-dev has_cxx_header boost/version.hpp
    need libwslay-dev has_header wslay/wslay.h
    need libwebsockets-dev has_header libwebsockets.h
    need libwebsocketpp-dev has_cxx_header websocketpp/server.hpp
    need gnuplot-nox has_command gnuplot
    need util-linux has_command taskset
    need python3 has_command "$python"
    need nodejs has_command node
    needs_npm bench/peers
}

needs_soak()
{
    needs_build
    need python3 has_command "$python"
    need gnuplot-nox has_command gnuplot
}

needs_tsan()
{
    needs_build
    need libcmocka-dev has_header cmocka.h
    need util-linux has_command setarch
}

needs_valgrind()
{
    needs_build
    need libcmocka-dev has_header cmocka.h
    need valgrind has_header valgrind/memcheck.h
}

needs_coverage()
{
    needs_test
    need lcov has_command lcov
}

needs_fuzz()
{
    needs_build
    need clang has_command clang
    # The release of the runtime's package goes with clang's; 14 is Debian 12's.
    has_command clang && need "libclang-rt-$(clang -dumpversion | cut -d. -f1)-dev" has_fuzzer
    has_command clang || missing+=(libclang-rt-14-dev)
}

needs_lint()
{
    needs_build
    need clang has_command clang
    need clang-tidy has_command clang-tidy
    need cppcheck has_command cppcheck
}

needs_neon()
{
    need make has_command make
    need gcc-aarch64-linux-gnu has_command aarch64-linux-gnu-gcc
    need libc6-dev-arm64-cross has_file /usr/aarch64-linux-gnu/include/stdio.h
    need qemu-user has_command qemu-aarch64
}

needs_fresh() { need debootstrap has_command debootstrap; }

# --- Installing --------------------------------------------------------------------------------------------------------

log=$(mktemp) || exit 1
trap 'rm -f "$log"' EXIT

as_root()
{
    if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi
}

apt()
{
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300 "$@" >>"$log" 2>&1 </dev/null
}

servers_new=()
# Debian starts a server when it is installed, and at every boot. What only tests start, on ports of their own, must not be one on this host.
keep_servers_off()
{
    case " ${missing[*]} " in *" nginx-light "* | *" haproxy "*) ;; *) return ;; esac
    if [ ! -e /usr/sbin/policy-rc.d ]; then
        # shellcheck disable=SC2016 # the script's own
        printf '#!/bin/sh\nexit 101\n' | as_root tee /usr/sbin/policy-rc.d >/dev/null && as_root chmod 755 /usr/sbin/policy-rc.d
        trap 'rm -f "$log"; as_root rm -f /usr/sbin/policy-rc.d' EXIT
    fi
    has_file /usr/sbin/nginx || servers_new+=(nginx)
    has_file /usr/sbin/haproxy || servers_new+=(haproxy)
}

install_packages()
{
    local list="${missing[*]}"
    has_command apt-get || fail "missing: $list (Debian's names). This host has no apt-get: install them by its own means."
    [ "$(id -u)" -eq 0 ] || has_command sudo ||
        fail "missing: $list. Not root, and no sudo: run 'apt-get install $list' as root, or 'tools/setup.sh $purpose'."
    say "installing with apt: $list"
    keep_servers_off
    compgen -G '/var/lib/apt/lists/*Packages*' >/dev/null || apt update
    # A stale package list names versions that the mirror no longer has: refresh it once before giving up.
    apt install -y --no-install-recommends "${missing[@]}" ||
        { apt update && apt install -y --no-install-recommends "${missing[@]}"; }
    local result=$?
    [ ${#servers_new[@]} -eq 0 ] || ! has_command systemctl || as_root systemctl --quiet disable "${servers_new[@]}" >>"$log" 2>&1
    return $result
}

install_npm_peers()
{
    has_npm_peers "$1" && return
    changed=1
    say "installing with npm into $1: $(npm_wanted "$1" | tr '\n' ' ')"
    npm install --prefix "$1" --no-package-lock --no-audit --no-fund --loglevel=error >>"$log" 2>&1 </dev/null
    has_npm_peers "$1" && return
    tail -n 20 "$log" >&2
    fail "npm could not install into $1: $(npm_wanted "$1" | tr '\n' ' ')(its last lines are above)"
}

case $purpose in
build | test | bench | coverage | fuzz | lint | neon | netns | fresh | soak | tsan | valgrind) ;;
*) echo "usage: tools/setup.sh build|test|bench|coverage|fuzz|lint|neon|netns|fresh|soak|tsan|valgrind" >&2; exit 2 ;;
esac

changed=0
"needs_$purpose"
if [ ${#missing[@]} -gt 0 ]; then
    wanted=("${missing[@]}")
    install_packages
    hash -r
    missing=()
    "needs_$purpose"
    if [ ${#missing[@]} -gt 0 ]; then
        tail -n 20 "$log" >&2
        fail "apt-get did not provide: ${missing[*]} (its last lines are above)"
    fi
    say "installed: ${wanted[*]}"
    changed=1
fi
case $purpose in
test | coverage) install_npm_peers tests/peers ;;
bench) install_npm_peers bench/peers ;;
esac
[ "$changed" -eq 1 ] || say "everything is here"
