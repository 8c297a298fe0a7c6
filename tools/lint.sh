#!/usr/bin/env bash
# tools/lint.sh [FILE...] - what compilers and tests do not say: clang-tidy (.clang-tidy; its clang-analyzer-* are scan-build's checkers),
# cppcheck and gcc -fanalyzer over the library and the command (or over FILEs). Exit code 0: nothing found. A false alarm is answered at its
# place, with the reason.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
# shellcheck disable=SC2317 # the functions are called through xargs
jobs=$(nproc)
files=("$@")
if [ ${#files[@]} -eq 0 ]; then mapfile -t files < <(find engine tools -name '*.c' | sort); fi
export FLAGS='-std=gnu11 -Iinclude -Iengine -I.'
failed=0

# The flags of a file's instruction set, as the Makefile gives them.
isa_flags()
{
    [ "$(uname -m)" = x86_64 ] || return
    case $1 in
    *avx512.c) echo -mavx512f -mavx512vl -mavx512bw -mavx512dq -mavx512vbmi -mgfni -mbmi -mbmi2 ;;
    *avx2.c) echo -mavx2 -mbmi -mbmi2 ;;
    *sse41.c) echo -msse4.1 ;;
    esac
}
export -f isa_flags

# shellcheck disable=SC2086,SC2046 # flags are words
tidy_one() { clang-tidy --quiet "$1" -- $FLAGS $(isa_flags "$1") 2>/dev/null; }
# gcc 12 reports memory that a list took over as leaked; LeakSanitizer sees what really leaks. And it follows every look into what may
# stand beside an endpoint (proto/aside.h) to where nothing does, though the caller knows that it is there; clang's, in tidy_one, does not.
# shellcheck disable=SC2086,SC2046
analyze_one() { gcc $FLAGS $(isa_flags "$1") -O2 -fanalyzer -Wno-analyzer-malloc-leak -Wno-analyzer-null-dereference -fdiagnostics-path-format=none -Wall -Wextra -Werror -c "$1" -o /dev/null 2>&1; }
export -f tidy_one analyze_one

# each NAME FUNCTION: over all files, as many at once as there are cores.
each()
{
    local begin=$SECONDS
    if printf '%s\0' "${files[@]}" | xargs -0 -r -n 1 -P "$jobs" bash -c "$2 \"\$0\""; then
        echo "$1: ${#files[@]} files, nothing found ($((SECONDS - begin)) s)"
    else
        echo "$1: see above ($((SECONDS - begin)) s)"
        failed=1
    fi
}

each clang-tidy tidy_one
each 'gcc -fanalyzer' analyze_one

begin=$SECONDS
# Style is ours to judge. Whole-program knowledge is what cppcheck lacks here, so what hangs on it is left out too.
if cppcheck --quiet -j "$jobs" --std=c11 --language=c --enable=warning,performance,portability --inline-suppr --error-exitcode=1 \
    --suppress=missingInclude --suppress=preprocessorErrorDirective --suppress=missingIncludeSystem -D__x86_64__ -D__GNUC__=12 -Iinclude -Iengine -I. "${files[@]}"; then
    echo "cppcheck: ${#files[@]} files, nothing found ($((SECONDS - begin)) s)"
else
    echo "cppcheck: see above ($((SECONDS - begin)) s)"
    failed=1
fi
exit $failed
