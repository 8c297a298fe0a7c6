#!/usr/bin/env bash
# tests/test_layers.sh - the layer check itself is checked: a crossing is planted in a copy of the tree, and it must be named.
set -u
cd "$(dirname "$0")/.." || exit 1
export CC=${CC:-gcc} CXX=${CXX:-g++}

copy=$(mktemp -d) || exit 1
trap 'rm -rf "$copy"' EXIT
n=0

# Every case starts from a fresh copy, so that one plant cannot hide behind another.
fresh_copy()
{
    rm -rf "${copy:?}"/*
    cp -R engine include "$copy/"
    mkdir -p "$copy/tools/examples" "$copy/obj/engine/"{proto,simd,policy,conn}
    find tools -name '*.[ch]' -exec cp --parents {} "$copy/" \;
}

# expect KIND TEXT NAME: the check fails, and says TEXT.
expect()
{
    local kind=$1 text=$2 name=$3 out status
    n=$((n + 1))
    out=$(tools/check_layers --only "$kind" "$copy" "$copy/obj" 2>&1)
    status=$?
    if [ $status -eq 1 ] && grep -qF -- "$text" <<<"$out"; then
        echo "ok $n - $name"
    else
        echo "not ok $n - $name: exit code $status, wanted 1 and the words: $text"
        sed 's/^/# /' <<<"$out"
        failed=1
    fi
    fresh_copy
}

# plant FILE LINE: at the top of a file, new or old.
plant()
{
    mkdir -p "$copy/$(dirname "$1")"
    touch "$copy/$1"
    { echo "$2"; cat "$copy/$1"; } >"$copy/plant.tmp"
    mv "$copy/plant.tmp" "$copy/$1"
}

# plant_object ROOM CODE: an object as a release build would leave it.
plant_object() { "$CC" -O2 -x c -c -o "$copy/obj/engine/$1/planted.o" - <<<"$2"; }

failed=0
fresh_copy

n=$((n + 1))
if out=$(tools/check_layers "$copy" "$copy/obj" 2>&1); then
    echo "ok $n - the tree as it is has no crossing"
else
    echo "not ok $n - the tree as it is has no crossing"
    sed 's/^/# /' <<<"$out"
    failed=1
fi

plant engine/proto/close.c '#include "ring/ring.h"'
expect includes 'engine/proto/close.c:1: proto may not include "ring/ring.h"' 'proto sees no ring'
plant engine/proto/planted.c '#include <sys/socket.h>'
expect includes 'proto may not include <sys/socket.h>' 'proto sees no sockets'
plant engine/ring/planted.c '#include "proto/frame.h"'
expect includes 'ring may not include "proto/frame.h"' 'ring knows no WebSocket'
plant engine/tls/planted.c '#include "conn/conn.h"'
expect includes 'tls may not include "conn/conn.h"' 'dependencies point down'
plant engine/conn/planted.c '#include <liburing.h>'
expect includes 'conn may not include <liburing.h>' 'liburing stays in ring'
plant engine/base/planted.h '#include <openssl/sha.h>'
expect includes 'base may not include <openssl/sha.h>' 'OpenSSL stays in tls'
plant engine/conn/planted.c '#include <zlib.h>'
expect includes 'conn may not include <zlib.h>' 'zlib stays in deflate'
plant engine/proto/consume_planted.c '#include <immintrin.h>'
expect includes 'proto may not include <immintrin.h>' 'intrinsics stay in simd'
plant engine/run.c '#include "loop/loop.h"'
expect includes 'run may not include "loop/loop.h"' 'the callback layer uses public headers only'
plant tools/planted.c '#include "proto/frame.h"'
expect includes 'tools may not include "proto/frame.h"' 'programs use public headers only'
plant engine/proto/planted.c '#include "close.h"'
expect includes 'an include names its room' 'an include without its room'
plant engine/proto/planted.c '#include "proto/../ring/ring.h"'
expect includes 'an include names its room' 'no way round through ..'
plant engine/proto/planted.c '#include RING_HEADER'
expect includes 'an include that is a macro' 'no way round through a macro'
plant engine/backdoor/planted.c '#include "ring/ring.h"'
expect includes 'no such room: backdoor' 'a room that nobody agreed on'
plant engine/conn/planted.c 'const char *wsr_home(void) { return getenv("HOME"); }'
expect includes 'the library does not read the environment' 'getenv in the library'

plant engine/base/planted.h 'static inline wsr_unheard_of wsr_planted(void) { return 0; }'
expect headers 'base/planted.h" does not compile alone' 'a header that needs another first'
plant include/wsring/planted.h 'struct wsr_planted { int class; };'
expect headers '<wsring/planted.h> does not compile alone with c++' 'a public header that is not C++'

plant_object proto '#include <stdlib.h>
void *wsr_planted(void); void *wsr_planted(void) { return malloc(1); }'
expect objects 'engine/proto/planted.o: proto may not call malloc' 'proto allocates nothing by itself'
plant_object proto '#include <time.h>
long wsr_planted(void); long wsr_planted(void) { return time(0); }'
expect objects 'proto may not call time' 'proto reads no clock'
plant_object proto 'int wsr_ring_submit(void); int wsr_planted(void); int wsr_planted(void) { return wsr_ring_submit(); }'
expect objects 'proto may not call wsr_ring_submit' 'proto calls no other room, however it was declared'
plant_object simd 'int wsr_frame_parse(void); int wsr_planted(void); int wsr_planted(void) { return wsr_frame_parse(); }'
expect objects 'simd may not call wsr_frame_parse' 'simd calls nothing above it'
plant_object policy '#include <stdlib.h>
int wsr_planted(void); int wsr_planted(void) { return rand(); }'
expect objects 'policy may not call rand' 'policy draws no random number by itself'
plant_object conn '#include <stdio.h>
void wsr_planted(void); void wsr_planted(void) { puts("hello"); }'
expect objects 'engine/conn/planted.o: the library may not call puts' 'the library prints nothing'

exit $failed
