#!/usr/bin/env bash
# The C firmware: builds it, rebuilds every bundled pair under QEMU and compares the bytes, sees it refuse what it must,
# and holds the C interface to the flash that it may take; then update-test.sh:
#
#     ./test.sh
#
# GMCF names another binary to make the updates with. Exit status 77: QEMU or a compiler is missing.
set -euo pipefail
cd "$(dirname "$0")"
# shellcheck source-path=SCRIPTDIR source=../common.sh
. ../common.sh

# Bytes of flash that the functions gmcf_decoder_* may take beyond the decoder in pure Rust.
interface_limit=2048

root=$(realpath ../..)
data=$root/tests/data
out=$(realpath -m ../target/firmware-c)
runs=$out/runs
board=lm3s6965evb

ensure_packages "command -v qemu-system-arm" qemu-system-arm || exit "$SKIPPED"
./build.sh
if [ -z "${GMCF:-}" ]; then
    (cd "$root" && cargo build --release --locked -p host-trainer)
    GMCF=$(cd "$root" && realpath "${CARGO_TARGET_DIR:-target}")/release/gmcf
fi
rm -rf "$runs"
mkdir -p "$runs"
passed=0 failed=0

# judge NAME PROBLEM: no problem is a pass.
judge() {
    if [ -z "$2" ]; then
        passed=$((passed + 1))
    else
        echo "FAILED: $1: $2" >&2
        failed=$((failed + 1))
    fi
}

# rebuild NAME OLD NEW PATCH: the file that the image makes must be NEW, byte for byte.
rebuild() {
    local problem=''
    if ! ../run.sh "$board" "$out/$board.elf" "$2" "$4" "$runs/new" >"$runs/out.txt"; then
        problem=$(tail -n 1 "$runs/out.txt")
        problem=${problem:-no output}
    elif ! cmp "$3" "$runs/new"; then
        problem="other bytes"
    elif ! grep -qx "new: $(stat -c %s "$3") bytes" "$runs/out.txt"; then
        problem="no length"
    fi
    judge "$1" "$problem"
    echo "$1: $(sed -n 's/^peak/peak/p' "$runs/out.txt")"
    rm -f "$runs/new"
}

# refuse NAME OLD PATCH ERROR: the image must stop with a status that says so, and with exactly this error.
refuse() {
    local problem='' status=0
    ../run.sh "$board" "$out/$board.elf" "$2" "$3" "$runs/new" >"$runs/out.txt" || status=$?
    if [ "$status" -ne 1 ]; then
        problem="exit status $status"
    elif ! grep -qx "error: $4" "$runs/out.txt"; then
        problem="$(tail -n 1 "$runs/out.txt"), not: $4"
    elif [ -e "$runs/new" ]; then
        problem="a new file was left"
    fi
    judge "$1" "$problem"
}

# stem PATH: the version that the file is named after.
stem() {
    local name=${1##*/}
    echo "${name%.*}"
}

first=true
while IFS=$'\t' read -r _ _ family old new _; do
    name=$family.$(stem "$old")-$(stem "$new")
    new=$data/$new
    with_old=()
    if [ "$old" = - ]; then
        # A whole file: the board is given an empty old one.
        name=$family.$(stem "$new")
        old=/dev/null
    else
        old=$data/$old
        with_old=(--old "$old")
    fi
    patch=$runs/update.gmcf
    "$GMCF" compress "$new" "${with_old[@]}" --profile small --base none -o "$patch" >/dev/null
    rebuild "$name" "$old" "$new" "$patch"
    if $first; then
        size=$(stat -c %s "$patch")
        head -c $((size - 1)) "$patch" >"$runs/short.gmcf"
        "$GMCF" compress "$new" "${with_old[@]}" --profile host --base none -o "$runs/host.gmcf" >/dev/null
        refuse "not a GMCF file" "$old" "$new" "not a GMCF file, found $(od -An -N1 -tx1 "$new" | tr -d ' ')"
        refuse "wrong old image" "$new" "$patch" "wrong old image, found [0-9a-f]\{8\}, expected [0-9a-f]\{8\}"
        refuse "truncated" "$old" "$runs/short.gmcf" "the update ends early: \`payload\`, found [0-9]*, needed [0-9]*"
        refuse "over budget" "$old" "$runs/host.gmcf" "over budget: \`words\`, found [0-9]*, limit 23552"
        refuse "no old image" /dev/null "$patch" "the old image is needed"
    fi
    first=false
done < <(tail -n +2 "$data/PAIRS.tsv")

# flash IMAGE: code, constants and the initial values of statics.
flash() {
    arm-none-eabi-size "$1" | awk 'NR == 2 { print $1 + $2 }'
}
rust=$(flash "$out/link-check.elf")
echo "decoder in Rust, with base model: $rust bytes of flash"
words=("" "init, update, finish" "all of gmcf_decoder_*" "and the errors' words")
for parts in 1 2 3; do
    all=$(flash "$out/link-check.$parts.elf")
    echo "C interface, ${words[$parts]}: $all bytes, $((all - rust)) more"
    [ $parts -ne 2 ] || interface=$((all - rust))
done
problem=
[ "$interface" -le "$interface_limit" ] || problem="$interface bytes more than the decoder in Rust, limit $interface_limit"
judge "flash" "$problem"
# The program's own gmcf_panic takes the place of the library's, which is there where the program has none.
problem=
for image in "$board T" "link-check.1 W"; do
    arm-none-eabi-nm "$out/${image% *}.elf" | grep -q " ${image#* } gmcf_panic\$" || problem="not ${image#* } in ${image% *}"
done
judge "gmcf_panic" "$problem"
# The device's side of updates, in a library with the feature `update`.
problem=
GMCF=$GMCF ./update-test.sh || problem="see above"
judge "updates" "$problem"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
