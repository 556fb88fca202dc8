#!/usr/bin/env bash
# What an update costs a device: bytes on air, flash writes and instructions of our decoder and of detools' and
# HPatchLite's, on the same updates and the same board (QEMU's lm3s6965evb, Cortex-M3), and the energy that follows:
#
#     ./run.sh             measures, prints the table, says what differs from the committed record, energy.tsv
#     ./run.sh --update    measures, and writes energy.tsv and the table of README.md anew
#
# Needs detools and hdiffi on PATH and the sources of their C decoders; ../install-peers.sh gets all of them.
# GMCF_PEER_SOURCES names the folder that holds `detools` and `HPatchLite` (its submodules included).
# A peer that is missing is skipped, and said aloud. Results lie in target/energy of the repository.
# Exit status 77: something is missing without which nothing can be measured.
set -euo pipefail
cd "$(dirname "$0")"
# shellcheck source-path=SCRIPTDIR source=../../firmware-demo/common.sh
. ../../firmware-demo/common.sh

case ${1:-} in
    '') update=false ;;
    --update) update=true ;;
    *) sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p;}' "$0" >&2 && exit 2 ;;
esac

# FAMILY.OLD-NEW of tests/data/PAIRS.tsv, as firmware-demo names them: C on Thumb-2, Rust on Thumb-2, RISC-V.
updates=(fw-greatfet.2021.2.1-2024.0.0 fw-built-rust.v2-v3 fw-espboot-c3.2.1.0-3.3.0)
block=4096

root=$(realpath ../..)
data=$root/tests/data
demo=$root/firmware-demo
out=$root/target/energy
sources=${GMCF_PEER_SOURCES:-$HOME/.local/share/gmcf-peers/src}
PATH=$PATH:$HOME/.local/bin

ensure_packages "command -v qemu-system-arm" qemu-system-arm || exit "$SKIPPED"
ensure_packages "echo '#include <string.h>' | arm-none-eabi-gcc -E -" gcc-arm-none-eabi libnewlib-arm-none-eabi ||
    exit "$SKIPPED"
(cd "$demo" && env -u CARGO_TARGET_DIR ./build.sh >/dev/null) || exit
if [ -z "${GMCF:-}" ]; then
    (cd "$root" && cargo build --release --locked -p host-trainer)
    GMCF=$(cd "$root" && realpath "${CARGO_TARGET_DIR:-target}")/release/gmcf
fi

rm -rf "$out"
mkdir -p "$out"
skipped=()
# What a whole update writes: download, progress record, slot, scratch.
(cd "$root" && cargo run --release --locked -q -p tests --bin wear) >"$out/wear.tsv"

# build NAME FLAG...: the peer's image. Code is built for size, as our own is.
build() {
    local name=$1
    shift
    arm-none-eabi-gcc -mcpu=cortex-m3 -mthumb -Os -std=gnu11 -ffunction-sections -fdata-sections -Wall -Ifirmware \
        firmware/board.c firmware/flash.c "firmware/$name.c" "$@" -nostartfiles -T firmware/lm3s6965evb.ld \
        -Wl,--gc-sections -o "$out/$name.elf"
}

# has_peer NAME TOOL FILE...: whether the tool and the sources are there; says aloud when not.
has_peer() {
    local name=$1 tool=$2 file why=
    shift 2
    command -v "$tool" >/dev/null || why="no $tool on PATH"
    for file in "$@"; do
        [ -f "$file" ] || why="no $file"
    done
    [ -n "$why" ] || return 0
    skipped+=("$name: $why; try benches/install-peers.sh, or set GMCF_PEER_SOURCES")
    echo "SKIPPED: ${skipped[-1]}" >&2
    return 1
}

peers=()
c=$sources/detools/c
if has_peer detools detools "$c/detools.c" "$c/heatshrink/heatshrink_decoder.c"; then
    build detools -DDETOOLS_CONFIG_FILE_IO=0 -DDETOOLS_CONFIG_COMPRESSION_LZMA=0 -DDETOOLS_CONFIG_COMPRESSION_CRLE=0 \
        "-I$c" "-I$c/heatshrink" "$c/detools.c" "$c/heatshrink/heatshrink_decoder.c"
    peers+=(detools)
fi
lite=$sources/HPatchLite/HDiffPatch/libHDiffPatch/HPatchLite
tuz=$sources/HPatchLite/tinyuz/decompress
if has_peer hpatchlite hdiffi "$lite/hpatch_lite.c" "$tuz/tuz_dec.c"; then
    build hpatchlite -DNDEBUG -D_IS_WTITE_NEW_BY_PAGE=1 "-I$lite" "-I$tuz" "$lite/hpatch_lite.c" "$tuz/tuz_dec.c"
    peers+=(hpatchlite)
fi

# stem PATH: the version that the file is named after.
stem() {
    local name=${1##*/}
    echo "${name%.*}"
}

# field NAME TRANSCRIPT: the number after NAME.
field() {
    local value
    value=$(sed -n "s/^$1: \([0-9]*\).*/\1/p" "$2")
    [ -n "$value" ] || { echo "run.sh: $2 does not say \`$1\`" >&2 && return 1; }
    echo "$value"
}

# emulate IMAGE TRANSCRIPT WORD...: runs a peer's image in the current folder.
emulate() {
    local image=$1 transcript=$2 words='' word
    shift 2
    for word in "${image##*/}" "$@"; do
        words+=,arg=$word
    done
    timeout "${GMCF_QEMU_TIMEOUT:-120}" qemu-system-arm -M lm3s6965evb -display none -serial none -monitor none \
        -icount shift=0 -semihosting-config "enable=on,target=native$words" -kernel "$image" </dev/null 2>"$transcript" || {
        cat "$transcript" >&2
        echo "run.sh: FAILED: $image $*" >&2
        return 1
    }
}

# row TOOL AIR FLASH BLOCKS INSTRUCTIONS RAM
row() {
    printf '%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n' "$name" "$1" "$old_bytes" "$new_bytes" "${@:2}" >>"$out/counted.tsv"
}

# rebuilt_row TOOL TRANSCRIPT FILE: checks what a peer's image wrote, and notes what it counted.
rebuilt_row() {
    local instructions
    head -c "$new_bytes" "$3" | cmp - new || {
        echo "run.sh: FAILED: $name, $1: another file than the new one" >&2
        return 1
    }
    instructions=$(field instructions "$2")
    row "$1" "$(field patch "$2")" "$(field 'flash written' "$2")" "$(field 'flash erased' "$2")" "$instructions" \
        "$(field 'ram in all' "$2")"
}

# The slot for an update in place: both images, in whole blocks, and the two spare ones that detools asks for.
make_memory() {
    local largest=$((old_bytes > new_bytes ? old_bytes : new_bytes))
    memory_bytes=$(((largest + block - 1) / block * block + 2 * block))
    cp old memory
    chmod u+w memory
    head -c $((memory_bytes - old_bytes)) /dev/zero | tr '\0' '\377' >>memory
}

measure_gmcf() {
    local patch_bytes instructions ram blocks=$(((new_bytes + block - 1) / block)) mode air flash erased count bytes
    "$GMCF" compress new --old old --profile small --base none -o gmcf.patch >/dev/null
    "$demo/run.sh" lm3s6965evb "$demo/target/firmware/lm3s6965evb.elf" old gmcf.patch gmcf.new >gmcf.txt || {
        cat gmcf.txt >&2
        return 1
    }
    cmp gmcf.new new
    patch_bytes=$(stat -c %s gmcf.patch)
    instructions=$(field instructions gmcf.txt)
    ram=$(field 'ram in all' gmcf.txt)
    row "gmcf small, A/B" "$patch_bytes" "$new_bytes" "$blocks" "$instructions" "$ram"
    # What the simulation of the device side counted: these rows have signature, download and journal.
    while IFS=$'\t' read -r _ mode air flash erased count bytes; do
        [ "$air" != - ] || air=$patch_bytes
        [ "$count" != - ] || count=$instructions
        [ "$bytes" != - ] || bytes=$ram
        row "gmcf small, $mode" "$air" "$flash" "$erased" "$count" "$bytes"
    done < <(awk -F'\t' -v name="$name" 'NR > 1 && $1 == name' "$out/wear.tsv")
}

measure_detools() {
    detools create_patch -c heatshrink old new detools.patch >/dev/null
    emulate "$out/detools.elf" detools.txt sequential old detools.patch detools.new
    rebuilt_row "detools heatshrink, A/B" detools.txt detools.new
    make_memory
    detools create_patch_in_place -c heatshrink --memory-size "$memory_bytes" --segment-size "$block" old new \
        detools.in-place >/dev/null
    emulate "$out/detools.elf" detools.in-place.txt in-place memory detools.in-place
    rebuilt_row "detools heatshrink, in place" detools.in-place.txt memory
}

measure_hpatchlite() {
    hdiffi -m-6 -f -d -c-tuz-4k old new hpatchlite.patch >/dev/null
    emulate "$out/hpatchlite.elf" hpatchlite.txt sequential old hpatchlite.patch hpatchlite.new
    rebuilt_row "HPatchLite tinyuz, A/B" hpatchlite.txt hpatchlite.new
    make_memory
    hdiffi -m-6 -f -d -c-tuz-4k "-inplace-$block" old new hpatchlite.in-place >/dev/null
    emulate "$out/hpatchlite.elf" hpatchlite.in-place.txt in-place memory hpatchlite.in-place
    rebuilt_row "HPatchLite tinyuz, in place" hpatchlite.in-place.txt memory
}

printf 'pair\ttool\told_bytes\tnew_bytes\tair_bytes\tflash_bytes\tblocks_erased\tinstructions\tram_bytes\n' \
    >"$out/counted.tsv"
found=0
while IFS=$'\t' read -r _ _ family old new _; do
    name=$family.$(stem "$old")-$(stem "$new")
    [[ " ${updates[*]} " == *" $name "* ]] || continue
    found=$((found + 1))
    mkdir -p "$out/$family"
    cd "$out/$family"
    cp "$data/$old" old
    cp "$data/$new" new
    old_bytes=$(stat -c %s old) new_bytes=$(stat -c %s new)
    for tool in gmcf "${peers[@]}"; do
        "measure_$tool"
    done
    cd - >/dev/null
done < <(tail -n +2 "$data/PAIRS.tsv")
[ "$found" -eq ${#updates[@]} ] || { echo "run.sh: $found updates found of ${#updates[@]}" >&2 && exit 1; }

awk -f energy.awk constants.tsv "$out/counted.tsv" >"$out/energy.tsv"
awk -f markdown.awk "$out/energy.tsv" | tee "$out/energy.md"
for why in "${skipped[@]}"; do
    echo "SKIPPED: $why"
done
if ! $update; then
    if diff energy.tsv "$out/energy.tsv"; then
        echo "run.sh: the same as benches/energy/energy.tsv"
    else
        echo "run.sh: < is benches/energy/energy.tsv, > is now"
    fi
    exit
fi
if [ ${#skipped[@]} -gt 0 ]; then
    echo "run.sh: the record is not written without all peers" >&2
    exit 1
fi
cp "$out/energy.tsv" energy.tsv
awk -v table="$out/energy.md" '
    /^<!-- table -->$/ { print; print ""; while ((getline line < table) > 0) print line; print ""; inside = 1; next }
    /^<!-- end of table -->$/ { inside = 0 }
    !inside
' README.md >"$out/README.md"
cp "$out/README.md" README.md
echo "run.sh: benches/energy/energy.tsv and the table of README.md written"
