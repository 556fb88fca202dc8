#!/usr/bin/env bash
# Builds every image and every link check, and writes what each takes of the flash:
#
#     ./build.sh            builds
#     ./build.sh clippy     lints instead, with warnings as errors
#
# Results, in target/firmware: BOARD.elf (the demo), device.BOARD.elf, boot.BOARD.elf and app.BOARD.VERSION.bin,
# memory.BOARD.elf, link-check.TARGET.elf, update-check.BOARD.elf, sizes.tsv; in target/firmware/checked, those that tests run, built with the profile `checked`, and
# one-slot.BOARD.elf. Exit status 77: no compiler for the targets.
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

# images_of BOARD: the images that the board has; `base` is the demo with the base model of its profile, `nano` and
# `evoformer` with those.
images_of() {
    echo demo echo device
    case $1 in mps2-an500 | lm3s6965evb | virt) echo base ;; esac
    case $1 in mps2-an500) echo nano evoformer ;; virt) echo evoformer ;; esac
    case $1 in mps2-an500 | lm3s6965evb) echo memory ;; esac
    # What a boot loader runs has a memory map of its own.
    [ ! -f "boards/$1.app.x" ] || echo boot app
}

# with_model IMAGE: whether it is the demo with the feature of that name.
with_model() {
    case $1 in base | nano | evoformer) return 0 ;; *) return 1 ;; esac
}

# checked_images_of BOARD: those of them that are built with the profile `checked`, too. Not `memory`, whose loops the
# host's tests check; nor the device of the Cortex-M0: with checks its stack runs out of the 16 KiB, and it ends in a hard
# fault when an update is offered. The device with one slot is for the Cortex-M3.
checked_images_of() {
    local image
    [ "$1" != lm3s6965evb ] || echo one-slot
    for image in $(images_of "$1"); do
        case "$1 $image" in "microbit device" | *" echo" | *" memory") continue ;; esac
        with_model "$image" || echo "$image"
    done
}

if [ "$task" = clippy ]; then
    while IFS=$'\t' read -r board target _; do
        bins=()
        for image in $(images_of "$board"); do
            if with_model "$image"; then
                "${CARGO[@]}" --bin demo --features "$image" --target "$target" -- -D warnings
            else
                bins+=(--bin "$image")
            fi
        done
        "${build[@]}" "${bins[@]}" --target "$target" -- -D warnings
        "${CARGO[@]}" --no-default-features --features quiet --bin update-check --target "$target" -- -D warnings
        if checked_images_of "$board" | grep -q '^one-slot$'; then
            "${CARGO[@]}" --bin device --features one-slot --target "$target" -- -D warnings
        fi
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

mkdir -p "$out/checked"
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

# build_image PROFILE BOARD TARGET IMAGE: with the profile release or checked; of `app` the versions 1, 2 and 3 of what
# the boot loader runs, as they lie in a slot; 3 has a fault.
build_image() {
    local folder=$out name=$4.$2.elf built=$CARGO_OUT/$3/$1/$4 version cargo=("${CARGO[@]}" --bin "$4" --target "$3")
    if [ "$1" = checked ]; then
        folder=$out/checked cargo=("${CARGO_CHECKED[@]}" --bin "$4" --target "$3")
    fi
    case $4 in
        app)
            for version in 1 2 3; do
                rm -f "$folder/app.$2.$version.bin"
                (
                    export GMCF_APP_VERSION=$version
                    [ "$version" -ne 3 ] || export GMCF_APP_FAULT=1
                    "${cargo[@]}"
                ) || return 1
                install_image "$built" "$folder/app.$2.$version.bin"
            done
            return
            ;;
        demo) name=$2.elf ;;
        base | nano | evoformer)
            cargo=("${cargo[@]/#$4/demo}" --features "$4")
            built=${built%/*}/demo
            ;;
        one-slot)
            cargo=("${CARGO_CHECKED[@]}" --bin device --features one-slot --target "$3")
            built=${built%/*}/device
            ;;
    esac
    rm -f "$folder/$name"
    "${cargo[@]}" || return 1
    install_image "$built" "$folder/$name"
}

# An image that does not fit its board must not hide what the others take.
failed=()
while IFS=$'\t' read -r board target _; do
    for image in $(images_of "$board"); do
        [ "$image" != echo ] || continue
        if ! build_image release "$board" "$target" "$image"; then
            failed+=("$image of $board")
            continue
        fi
        case $image in
            app) ;;
            demo) record "$board" - image_flash_bytes "$out/$board.elf" 0 ;;
            *) record "$board" "$image" image_flash_bytes "$out/$image.$board.elf" 0 ;;
        esac
    done
    for image in $(checked_images_of "$board"); do
        build_image checked "$board" "$target" "$image" || failed+=("$image of $board, checked")
    done
done < <(boards)
# bound NAME ITEM METRIC IMAGE MORE ARGUMENT...: what stack-bound.sh says of the image, and MORE bytes.
bound() {
    local status=0 bytes
    bytes=$(./stack-bound.sh "$4" "${@:6}" 2>"$out/stack.$1.txt") || status=$?
    case $status in
        0) printf '%s\t%s\t%s\t%s\n' "$1" "$2" "$3" $((bytes + $5)) >>"$sizes" ;;
        "$SKIPPED") cat "$out/stack.$1.txt" >&2 ;;
        *) cat "$out/stack.$1.txt" >&2 && failed+=("stack bound for $1") ;;
    esac
}

# All RAM of a device: what is static, and the stack by its call graph. It has two slots: no script is made on it.
while IFS=$'\t' read -r board target _; do
    if ! "${CARGO[@]}" --no-default-features --features quiet --bin update-check --target "$target"; then
        failed+=("update-check of $board")
        continue
    fi
    install_image "$CARGO_OUT/$target/release/update-check" "$out/update-check.$board.elf"
    if [ -z "$size_tool" ] || [ ! -f "$out/device.$board.elf" ]; then
        continue
    fi
    statics=$("$size_tool" -A "$out/device.$board.elf" | awk '/^\.(data|bss|uninit) / { sum += $2 } END { print sum + 0 }')
    bound "$board" device ram_bound_bytes "$out/update-check.$board.elf" "$statics" update_check decode_to_script
done < <(boards)
for target in "${all_targets[@]}"; do
    if ! "${build[@]}" --target "$target"; then
        failed+=("link-check for $target")
        continue
    fi
    install_image "$CARGO_OUT/$target/release/link-check" "$out/link-check.$target.elf"
    record "$target" - decoder_flash_bytes "$out/link-check.$target.elf" "$base_model"
    bound "$target" - decoder_stack_bound_bytes "$out/link-check.$target.elf" 0
done
cat "$sizes"
for name in "${failed[@]}"; do
    echo "build.sh: FAILED: $name" >&2
done
[ ${#failed[@]} -eq 0 ]
