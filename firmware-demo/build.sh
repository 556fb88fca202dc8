#!/usr/bin/env bash
# Builds every image and every link check, and writes what each takes of the flash:
#
#     ./build.sh            builds
#     ./build.sh clippy     lints instead, with warnings as errors
#
# Results, in target/firmware: BOARD.elf, link-check.TARGET.elf, sizes.tsv. Exit status 77: no compiler for the targets.
set -euo pipefail
cd "$(dirname "$0")"
# shellcheck source-path=SCRIPTDIR source=common.sh
. ./common.sh
# shellcheck source-path=SCRIPTDIR source=toolchain.sh
. ./toolchain.sh

out=target/firmware
task=${1:-build}
mapfile -t all_targets < <(boards | cut -f2)
use_bare_metal "$task" "${all_targets[@]}"
build=("${CARGO[@]}" --bin link-check)

if [ "$task" = clippy ]; then
    while IFS=$'\t' read -r _ target _; do
        "${build[@]}" --bin demo --bin echo --target "$target" -- -D warnings
    done < <(boards)
    exit
fi

size_tool=
for candidate in size arm-none-eabi-size llvm-size; do
    if command -v "$candidate" >/dev/null; then
        size_tool=$candidate
        break
    fi
done
if [ -z "$size_tool" ]; then
    echo "build.sh: no \`size\` (package binutils): the sizes are not recorded" >&2
fi

mkdir -p "$out"
sizes=$out/sizes.tsv
printf -- '-\t-\tcompiler\t%s\n' "$("${RUSTC:-rustc}" --version)" >"$sizes"

# The base model (the prior of the mixing network) is flash too, but no code: it has a line of its own.
base_model=$(wc -c <../codec-core/src/predict/prior.bin)
printf -- '-\t-\tbase_model_bytes\t%s\n' "$base_model" >>"$sizes"

# record NAME METRIC IMAGE LESS: flash bytes are code, constants and the initial values of statics, less LESS.
record() {
    [ -n "$size_tool" ] || return 0
    local bytes
    bytes=$("$size_tool" "$3" | awk -v less="$4" 'NR == 2 { print $1 + $2 - less }')
    printf '%s\t-\t%s\t%s\n' "$1" "$2" "$bytes" >>"$sizes"
}

# install_image FROM TO
install_image() {
    cp "$1" "$2.new"
    mv "$2.new" "$2"
}

target_dir=$CARGO_OUT
# An image that does not fit its board must not hide what the others take.
failed=()
while IFS=$'\t' read -r board target _; do
    rm -f "$out/$board.elf"
    if ! "${build[@]}" --bin demo --target "$target"; then
        failed+=("$board")
        continue
    fi
    install_image "$target_dir/$target/release/demo" "$out/$board.elf"
    record "$board" image_flash_bytes "$out/$board.elf" 0
done < <(boards)
for target in "${all_targets[@]}"; do
    if ! "${build[@]}" --target "$target"; then
        failed+=("link-check for $target")
        continue
    fi
    install_image "$target_dir/$target/release/link-check" "$out/link-check.$target.elf"
    record "$target" decoder_flash_bytes "$out/link-check.$target.elf" "$base_model"
done
cat "$sizes"
for name in "${failed[@]}"; do
    echo "build.sh: FAILED: $name" >&2
done
[ ${#failed[@]} -eq 0 ]
