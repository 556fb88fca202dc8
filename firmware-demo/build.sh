#!/usr/bin/env bash
# Builds every image and every link check, and writes what each takes of the flash:
#
#     ./build.sh            builds
#     ./build.sh clippy     lints instead, with warnings as errors
#
# With all targets in the Rust toolchain (`rustup target add` for each) plain cargo builds them.
# Otherwise Debian's rustc-web builds `core` as well; its packages are installed when this runs as
# root. GMCF_FIRMWARE_COMPILER=plain or =debian decides for one of the two.
#
# Results, in target/firmware: BOARD.elf, link-check.TARGET.elf, sizes.tsv. Exit status 77: no compiler for the targets.
set -euo pipefail
cd "$(dirname "$0")"
# shellcheck source-path=SCRIPTDIR source=common.sh
. ./common.sh

out=target/firmware
task=${1:-build}
# Linked, never run: TARGET of each is one more architecture that the decoder is good for.
extra_targets=(riscv32imac-unknown-none-elf)
mapfile -t board_targets < <(boards | cut -f2)
all_targets=("${board_targets[@]}" "${extra_targets[@]}")

sysroot=$(rustc --print sysroot)
missing=()
for target in "${all_targets[@]}"; do
    [ -d "$sysroot/lib/rustlib/$target/lib" ] || missing+=("$target")
done

compiler=${GMCF_FIRMWARE_COMPILER:-}
if [ -z "$compiler" ]; then
    compiler=plain
    [ ${#missing[@]} -eq 0 ] || compiler=debian
fi

# The machine's own paths must not get into the images: their length would change the sizes.
remap=("$HOME/.cargo/registry/src=registry" "${CARGO_HOME:-$HOME/.cargo}/registry/src=registry" "$(realpath ..)=.")

case $task in
    build) build=(cargo build) ;;
    clippy) build=(cargo clippy) ;;
    *) echo "build.sh: no task \`$task\`" >&2 && exit 2 ;;
esac
build+=(--release --locked --bin link-check)
case $compiler in
    plain)
        if [ ${#missing[@]} -gt 0 ]; then
            echo "build.sh: targets missing; try: rustup target add ${missing[*]}" >&2
            exit "$SKIPPED"
        fi
        build+=(--target-dir target/plain)
        ;;
    debian)
        echo "build.sh: using Debian's rustc-web with its library source (the toolchain lacks: ${missing[*]:-nothing})" >&2
        ensure_packages "[ -x /usr/bin/rustc ] && [ -d /usr/lib/rustlib/src/rust/library/core ]" \
            rustc-web rust-web-src libstd-rust-web-dev || exit "$SKIPPED"
        if [ "$task" = clippy ]; then
            ensure_packages "[ -x /usr/bin/cargo-clippy ]" rust-web-clippy || exit "$SKIPPED"
            build[0]=/usr/bin/cargo-clippy
        fi
        linker=$(find "$sysroot/lib/rustlib" -name rust-lld -type f | head -n 1)
        if [ -z "$linker" ]; then
            ensure_packages "command -v ld.lld" lld || exit "$SKIPPED"
            linker=$(command -v ld.lld)
        fi
        for target in "${all_targets[@]}"; do
            name=${target^^}
            export "CARGO_TARGET_${name//-/_}_LINKER=$linker"
        done
        export RUSTC=/usr/bin/rustc RUSTC_BOOTSTRAP=1
        remap+=("/usr/lib/rustlib/src/rust=rust" "$(realpath /usr/lib/rustlib/src/rust)=rust")
        build+=(-Zbuild-std=core --target-dir target/debian)
        ;;
    *)
        echo "build.sh: GMCF_FIRMWARE_COMPILER is \`$compiler\`; plain and debian are known" >&2
        exit 2
        ;;
esac
for pair in "${remap[@]}"; do
    RUSTFLAGS="${RUSTFLAGS:-} --remap-path-prefix=$pair"
done
export RUSTFLAGS

if [ "$task" = clippy ]; then
    while IFS=$'\t' read -r _ target _; do
        "${build[@]}" --bin demo --target "$target" -- -D warnings
    done < <(boards)
    for target in "${extra_targets[@]}"; do
        "${build[@]}" --target "$target" -- -D warnings
    done
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

target_dir=target/$compiler
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
