#!/usr/bin/env bash
# Builds every image and every link check, and writes what each takes of the flash:
#
#     ./build.sh            builds
#     ./build.sh clippy     lints instead, with warnings as errors
#
# Results, in target/firmware: BOARD.elf (the demo), device.BOARD.elf, boot.BOARD.elf and app.BOARD.VERSION.bin,
# link-check.TARGET.elf, sizes.tsv. Exit status 77: no compiler for the targets.
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

# images_of BOARD: the images that the board has.
images_of() {
    echo demo echo device
    # What a boot loader runs has a memory map of its own.
    [ ! -f "boards/$1.app.x" ] || echo boot app
}

if [ "$task" = clippy ]; then
    while IFS=$'\t' read -r board target _; do
        mapfile -t bins < <(images_of "$board" | tr ' ' '\n' | sed 's/^/--bin=/')
        "${build[@]}" "${bins[@]}" --target "$target" -- -D warnings
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

# record NAME ITEM METRIC IMAGE LESS: flash bytes are code, constants and the initial values of statics, less LESS.
record() {
    [ -n "$size_tool" ] || return 0
    local bytes
    bytes=$("$size_tool" "$4" | awk -v less="$5" 'NR == 2 { print $1 + $2 - less }')
    printf '%s\t%s\t%s\t%s\n' "$1" "$2" "$3" "$bytes" >>"$sizes"
}

# install_image FROM TO
install_image() {
    cp "$1" "$2.new"
    mv "$2.new" "$2"
}

target_dir=$CARGO_OUT

# build_apps BOARD TARGET: versions 1, 2 and 3 of what the boot loader runs, as they lie in a slot; 3 has a fault.
build_apps() {
    local version
    for version in 1 2 3; do
        if [ "$version" -eq 3 ]; then
            export GMCF_APP_FAULT=1
        else
            unset GMCF_APP_FAULT
        fi
        rm -f "$out/app.$1.$version.bin"
        GMCF_APP_VERSION=$version "${CARGO[@]}" --bin app --target "$2" || return 1
        install_image "$target_dir/$2/release/app" "$out/app.$1.$version.bin"
    done
    unset GMCF_APP_FAULT
}

# An image that does not fit its board must not hide what the others take.
failed=()
while IFS=$'\t' read -r board target _; do
    rm -f "$out/$board.elf"
    if ! "${build[@]}" --bin demo --target "$target"; then
        failed+=("$board")
        continue
    fi
    install_image "$target_dir/$target/release/demo" "$out/$board.elf"
    record "$board" - image_flash_bytes "$out/$board.elf" 0
    for image in $(images_of "$board"); do
        case $image in
            demo | echo) continue ;;
            app)
                build_apps "$board" "$target" || failed+=("$image of $board")
                continue
                ;;
        esac
        rm -f "$out/$image.$board.elf"
        if ! "${CARGO[@]}" --bin "$image" --target "$target"; then
            failed+=("$image of $board")
            continue
        fi
        install_image "$target_dir/$target/release/$image" "$out/$image.$board.elf"
        record "$board" "$image" image_flash_bytes "$out/$image.$board.elf" 0
    done
done < <(boards)
for target in "${all_targets[@]}"; do
    if ! "${build[@]}" --target "$target"; then
        failed+=("link-check for $target")
        continue
    fi
    install_image "$target_dir/$target/release/link-check" "$out/link-check.$target.elf"
    record "$target" - decoder_flash_bytes "$out/link-check.$target.elf" "$base_model"
done
cat "$sizes"
for name in "${failed[@]}"; do
    echo "build.sh: FAILED: $name" >&2
done
[ ${#failed[@]} -eq 0 ]
