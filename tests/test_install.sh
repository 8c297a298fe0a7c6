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
