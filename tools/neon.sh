#!/usr/bin/env bash
# tools/neon.sh FOLDER - the rooms that hold instruction sets (base, simd, proto), cross-compiled for 64-bit ARM; their tests run under qemu.
#
# Debian's cross compiler and qemu come from tools/setup.sh neon. cmocka for ARM is unpacked from its own package into FOLDER, through
# package lists kept there too: the host's apt is not told about another architecture.
set -euo pipefail
cd "$(dirname "$0")/.."
folder=$1
case $folder in /*) ;; *) folder=$PWD/$folder ;; esac
cross=aarch64-linux-gnu
arm=$folder/root

if [ ! -e "$arm/usr/include/cmocka.h" ]; then
    mkdir -p "$folder/apt/lists/partial" "$folder/apt/cache/archives/partial" "$arm"
    apt_arm=(apt-get -qq -o "Dir::State::Lists=$folder/apt/lists" -o "Dir::Cache=$folder/apt/cache" -o APT::Architecture=arm64
        -o APT::Architectures= -o APT::Architectures::=arm64 -o APT::Sandbox::User=root)
    echo "neon: fetching cmocka for arm64 into $folder"
    "${apt_arm[@]}" update
    (cd "$folder/apt" && "${apt_arm[@]}" download libcmocka-dev libcmocka0)
    for package in "$folder"/apt/*.deb; do dpkg-deb -x "$package" "$arm"; done
fi
lib=$arm/usr/lib/$cross

# The tests that need nothing beyond the three rooms, by the module in their name.
tests=()
for test in tests/test_*.c; do
    module=${test#tests/test_}
    module=${module%.c}
    case $module in
    simd* | frame | extension | http) tests+=("$module") ;;
    esac
done
if [ ${#tests[@]} -eq 0 ]; then
    echo "neon: no test of base, simd or proto in tests/" >&2
    exit 1
fi
programs=("${tests[@]/#/$folder/release/tests/test_}")

make --no-print-directory -j"$(nproc)" BUILD="$folder" MODE=release ARCH=aarch64 CC=$cross-gcc AR=$cross-ar ROOMS='base simd proto' \
    CPPFLAGS="-isystem $arm/usr/include" LDFLAGS="-L$lib" LIBS=-lm SRC_TOOLS= "${programs[@]}"

# Emulation is slow, so a test gets longer.
TEST_LAUNCH="qemu-aarch64 -L /usr/$cross -E LD_LIBRARY_PATH=$lib" TEST_SECONDS_MAX=${TEST_SECONDS_MAX:-600} \
    tests/run "$folder/release" "${programs[@]}"
