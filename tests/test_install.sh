#!/usr/bin/env bash
# tests/test_install.sh BUILD - what `make install` leaves is all a user needs: a program is built against it, static and shared, from
# the flags in wsring.pc; the shared library exports what the public headers declare and nothing else; uninstall leaves nothing.
set -u
build=$(cd "$1" && pwd) || exit 1
cd "$(dirname "$0")/.." || exit 1
cc=${CC:-gcc}
n=0 failed=0

check()
{
    local name=$1
    shift
    n=$((n + 1))
    if out=$("$@" 2>&1); then
        echo "ok $n - $name"
    else
        echo "not ok $n - $name"
        printf '%s\n' "$out" | sed 's/^/# /'
        failed=1
    fi
}

# build/MODE: make finds what this run built, and builds nothing.
mode=${build##*/}
sanitize=()
case $mode in
asan) sanitize=(-fsanitize=address,undefined) ;;
tsan) sanitize=(-fsanitize=thread) ;;
coverage) sanitize=(--coverage) ;;
esac
stage=$(mktemp -d) || exit 1
trap 'rm -rf "$stage"' EXIT
install_to() { make --no-print-directory BUILD="${build%/*}" MODE="$mode" DESTDIR="$stage" PREFIX=/opt/wsring "$@"; }

check 'make install' install_to install
root=$stage/opt/wsring

cat >"$stage/user.c" <<'USER'
#include <stdio.h>
#include <string.h>
#include <wsring/close.h>
#include <wsring/endpoint.h>
#include <wsring/engine.h>
#include <wsring/frame.h>
#include <wsring/simd.h>
int main(void)
{
    printf("%s\n", wsr_version());
    return strcmp(wsr_version(), WSR_VERSION) != 0;
}
USER

# pc FIELD: as pkg-config would print it, with the staging folder in front (pkg-config itself need not be here).
pc()
{
    sed -n "s/^$1: //p" "$root/lib/pkgconfig/wsring.pc" |
        sed -e "s|\${libdir}|$root/lib|g; s|\${includedir}|$root/include|g"
}
check 'wsring.pc names the prefix' grep -qx 'prefix=/opt/wsring' "$root/lib/pkgconfig/wsring.pc"
check 'wsring.pc has the version of the headers' grep -qx "Version: $(sed -n 's/^#define WSR_VERSION "\(.*\)"/\1/p' include/wsring/types.h)" \
    "$root/lib/pkgconfig/wsring.pc"

# shellcheck disable=SC2046 # flags are words
build_shared() { "$cc" "${sanitize[@]}" $(pc Cflags) "$stage/user.c" $(pc Libs) -Wl,-rpath,"$root/lib" -o "$stage/shared"; }
# shellcheck disable=SC2046
build_static() { "$cc" "${sanitize[@]}" $(pc Cflags) "$stage/user.c" "$root/lib/libwsring.a" $(pc Libs.private) -o "$stage/static"; }
check 'a program builds against the shared library' build_shared
check 'and runs' "$stage/shared"
check 'a program builds against the archive' build_static
check 'and runs' "$stage/static"
runs_with_soname() { readelf -d "$stage/shared" | grep -q 'NEEDED.*\[libwsring.so.0\]'; }
check 'it needs libwsring.so.0' runs_with_soname

# A user in C++17, who wants no warnings from headers that are not his.
cat >"$stage/user.cc" <<'USER'
#include <cstdio>
#include <wsring/wsring.h>
int main()
{
    wsr_config config = WSR_CONFIG_INIT;
    wsr_listen_config listen = WSR_LISTEN_CONFIG_INIT;
    wsr_drain_config drain = WSR_DRAIN_CONFIG_INIT;
    wsr_connect_config connect = WSR_CONNECT_CONFIG_INIT;
    wsr_endpoint_config endpoint = WSR_ENDPOINT_CONFIG_INIT;
    wsr_tls_config tls = WSR_TLS_CONFIG_INIT;
    wsr_policy_config policy = WSR_POLICY_CONFIG_INIT;
    config.connections_max = 4;
    listen.port = 0;
    wsr_engine *engine = nullptr;
    if (wsr_engine_open(&engine, &config) != WSR_OK)
        return 77;
    wsr_listener listener;
    const bool good = wsr_listen(engine, &listen, &listener) == WSR_OK && wsr_close(engine, 1, WSR_CLOSE_NORMAL, wsr_slice_of("bye")) == WSR_ESTALE &&
                      wsr_abort(engine, 1) == WSR_ESTALE && wsr_drain(engine, &drain) == WSR_OK && connect.size == sizeof connect &&
                      endpoint.size == sizeof endpoint && tls.size == sizeof tls && policy.size == sizeof policy && connect.url == nullptr;
    wsr_engine_close(engine);
    return good ? 0 : 1;
}
USER
# shellcheck disable=SC2046
build_cxx() { "${CXX:-g++}" -std=c++17 -Wall -Wextra -Wpedantic -Werror "${sanitize[@]}" $(pc Cflags) "$stage/user.cc" $(pc Libs) -Wl,-rpath,"$root/lib" -o "$stage/cxx"; }
check 'a program in C++17 builds without a warning' build_cxx
check 'and runs' "$stage/cxx"

# The functions that a public header marks WSR_API, however the declaration is broken over lines.
declared()
{
    cat include/wsring/*.h | sed 's/^ *#.*//' | tr '\n' ' ' | grep -oE 'WSR_API[^;{]*' | grep -oE 'wsr_[a-z0-9_]+ *\(' | tr -d ' (' | sort -u
}
exported() { nm -D --defined-only "$root/lib/libwsring.so" | awk '$2 != "A" { sub(/@.*/, "", $3); print $3 }' | sort -u; }
same_symbols() { diff <(declared) <(exported); }
check 'exported: what the headers declare, and nothing else' same_symbols

check 'make uninstall' install_to uninstall
nothing_left() { [ -z "$(find "$root" ! -type d)" ]; }
check 'nothing is left' nothing_left
exit $failed
