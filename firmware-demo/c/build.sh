#!/usr/bin/env bash
# Builds the C firmware and what its flash is measured with:
#
#     ./build.sh
#
# Results, in ../target/firmware-c: libgmcf.a, lm3s6965evb.elf, link-check.PARTS.elf, and link-check.elf, the decoder in
# pure Rust; and with the device's side of updates libgmcf.update.a, device.elf, and measured.elf, which tells its RAM. Exit status 77: no compiler for Rust or C.
set -euo pipefail
cd "$(dirname "$0")"
# shellcheck source-path=SCRIPTDIR source=../common.sh
. ../common.sh
# shellcheck source-path=SCRIPTDIR source=../toolchain.sh
. ../toolchain.sh

target=thumbv7m-none-eabi
out=../target/firmware-c
header=../../codec-c/include

ensure_packages "command -v arm-none-eabi-gcc && [ -e \"\$(arm-none-eabi-gcc -print-file-name=include/stdint.h)\" ]" \
    gcc-arm-none-eabi libnewlib-arm-none-eabi || exit "$SKIPPED"
use_bare_metal build "$target"
"${CARGO[@]}" --manifest-path ../../codec-c/Cargo.toml --target "$target" --no-default-features --features small
mkdir -p "$out"
cp "$CARGO_OUT/$target/release/libgmcf.a" "$out/libgmcf.a"
"${CARGO[@]}" --manifest-path ../../codec-c/Cargo.toml --target "$target" --no-default-features --features small,update
cp "$CARGO_OUT/$target/release/libgmcf.a" "$out/libgmcf.update.a"
"${CARGO[@]}" --manifest-path ../Cargo.toml --target "$target" --bin link-check
cp "$CARGO_OUT/$target/release/link-check" "$out/link-check.elf"

# Warnings are errors: the header must be clean for its users.
# shellcheck disable=SC2054
compile=(arm-none-eabi-gcc -mcpu=cortex-m3 -mthumb -std=c99 -Os -Wall -Wextra -pedantic -Werror -ffreestanding
    -ffunction-sections -fdata-sections -I "$header" -nostdlib -Wl,--gc-sections,-z,noexecstack)
"${compile[@]}" -T board.ld -L ../boards main.c host.c "$out/libgmcf.a" -o "$out/lm3s6965evb.elf"
"${compile[@]}" -T device.ld -L ../boards device.c host.c "$out/libgmcf.update.a" -o "$out/device.elf"
"${compile[@]}" -DMEASURE -T device.ld -L ../boards device.c host.c "$out/libgmcf.update.a" -o "$out/measured.elf"
for parts in 1 2 3; do
    "${compile[@]}" -DPARTS=$parts link-check.c "$out/libgmcf.a" -o "$out/link-check.$parts.elf"
done
