#!/usr/bin/env bash
# Builds what codec-c/cmake, zephyr and esp-idf describe:
#
#     ./test.sh
#
# The example for this computer, which then applies an update, and a program that uses the device's side of updates; and
# the like with what stands in for Zephyr (Cortex-M3) and ESP-IDF (ESP32-C3), which are linked. Exit status 77: CMake or a
# compiler is missing.
set -euo pipefail
cd "$(dirname "$0")"
# shellcheck source-path=SCRIPTDIR source=../../firmware-demo/common.sh
. ../../firmware-demo/common.sh
# shellcheck source-path=SCRIPTDIR source=../../firmware-demo/toolchain.sh
. ../../firmware-demo/toolchain.sh

data=../../tests
work=../../firmware-demo/target/cmake
mkdir -p "$work"

ensure_packages "command -v cmake" cmake || exit "$SKIPPED"
ensure_packages "command -v make" make || exit "$SKIPPED"
ensure_packages "command -v cc" gcc libc6-dev || exit "$SKIPPED"

cmake -S tests/host -B "$work/host" -DCMAKE_C_FLAGS=-Werror
cmake --build "$work/host"
"$work/host/apply" "$data/data/dev/fw-espboot-c3/2.1.0.bin" "$data/golden/riscv.gmcf" "$work/new.bin"
cmp "$work/new.bin" "$data/data/dev/fw-espboot-c3/3.3.0.bin"
echo "cmake: the example applies an update"
"$work/host/update"
echo "cmake: the updater is there, for the flash that was named"

ensure_packages "command -v arm-none-eabi-gcc" gcc-arm-none-eabi || exit "$SKIPPED"
ensure_packages "command -v riscv64-unknown-elf-gcc" gcc-riscv64-unknown-elf || exit "$SKIPPED"
use_bare_metal build thumbv7m-none-eabi riscv32imc-unknown-none-elf
flags=
[ -z "${RUSTC_BOOTSTRAP:-}" ] || flags=-Zbuild-std=core

# link NAME COMPILER: the programs of tests/NAME, which must have the decoder and the updater in them.
link() {
    cmake -S "tests/$1" -B "$work/$1" -DCMAKE_SYSTEM_NAME=Generic -DCMAKE_C_COMPILER="$2-gcc" \
        -DCMAKE_TRY_COMPILE_TARGET_TYPE=STATIC_LIBRARY -DGMCF_CARGO_FLAGS="$flags" -DCMAKE_C_FLAGS=-Werror
    cmake --build "$work/$1"
    "$2-nm" "$work/$1/app" | grep -q ' T gmcf_decoder_update$'
    "$2-nm" "$work/$1/update" | grep -q ' T gmcf_updater_open$'
    echo "$1: the programs link"
}
link zephyr arm-none-eabi
link esp-idf riscv64-unknown-elf
