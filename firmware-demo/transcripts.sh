#!/usr/bin/env bash
# Decodes the bundled pairs on every board under QEMU and compares what the images print with `expected/`:
#
#     ./transcripts.sh             builds what is needed, runs, compares
#     ./transcripts.sh --update    writes expected/ anew
#
# Pairs are those of tests/data/PAIRS.tsv; containers are made by `gmcf compress` (GMCF names another
# binary). A transcript is compared in the lines that do not depend on how well the codec compresses:
# lengths, digest, errors. The costs go to target/firmware/costs.tsv, which record.sh compares. The first pair of each
# board, and what is refused, is also given to the image with checks for overflows, which must say the same.
# Exit status 77: QEMU or a compiler is missing, or there is nothing to decode.
set -euo pipefail
cd "$(dirname "$0")"
# shellcheck source-path=SCRIPTDIR source=common.sh
. ./common.sh

root=$(realpath ..)
data=$root/tests/data
out=target/firmware
runs=$out/runs
update=false
[ "${1:-}" != --update ] || update=true

if [ ! -f "$data/PAIRS.tsv" ]; then
    echo "transcripts.sh: no tests/data/PAIRS.tsv, so nothing to decode" >&2
    exit "$SKIPPED"
fi
ensure_qemu || exit "$SKIPPED"
./build.sh >/dev/null
if [ -z "${GMCF:-}" ]; then
    (cd "$root" && cargo build --release --locked -p host-trainer)
    GMCF=$(cd "$root" && realpath "${CARGO_TARGET_DIR:-target}")/release/gmcf
fi

rm -rf "$runs"
mkdir -p "$runs" expected
costs=$out/costs.tsv
: >"$costs"
passed=0 failed=0
if $update; then
    rm -f expected/*.txt
fi

# stem PATH: the version that the file is named after.
stem() {
    local name=${1##*/}
    echo "${name%.*}"
}

# class_of FAMILY OLD NEW: near, far or tiny by the best peer's patch (tests/data/peers.tsv), as `gmcf bench` does; other
# where no peer was measured.
class_of() {
    awk -F'\t' -v family="$1" -v old="$2" -v new="$3" '
        NR == 1 { for (i = 1; i <= NF; i++) column[$i] = i; next }
        $column["family"] == family && $column["old"] == old && $column["new"] == new {
            for (i = column["new_bytes"] + 1; i <= NF; i++)
                if (i != column["xz"] && $i + 0 > 0 && (!best || $i + 0 < best)) best = $i + 0
            class = best < 100 ? "tiny" : best < 0.08 * $column["new_bytes"] ? "near" : "far"
        }
        END { print class ? class : "other" }
    ' "$data/peers.tsv"
}

# compare NAME: the transcript in $runs against the expected one.
compare() {
    local name=$1
    grep -E '^(board|old|new|sha256|error): ' "$runs/$name.full" >"$runs/$name.txt" || true
    if $update; then
        cp "$runs/$name.txt" "expected/$name.txt"
    fi
    if diff -u "expected/$name.txt" "$runs/$name.txt"; then
        passed=$((passed + 1))
    else
        echo "FAILED: $name: the transcript differs" >&2
        failed=$((failed + 1))
    fi
}

# costs_of BOARD ITEM TRANSCRIPT: the lines that record.sh tracks.
costs_of() {
    awk -F': ' -v board="$1" -v item="$2" -v OFS='\t' '
        { split($2, value, " "); gsub(" ", "_", $1) }
        $1 == "patch" { print board, item, "patch_bytes", value[1] }
        $1 == "peak_stack" { print board, item, "stack_bytes", value[1] }
        $1 == "ram_in_all" { print board, item, "ram_bytes", value[1] }
        $1 == "instructions" { print board, item, "instructions", value[1] }
        $1 == "instructions_per_byte" { print board, item, "instructions_per_byte", value[1] }
    ' "$3" >>"$costs"
}

# rebuild BOARD PROFILE PAIR OLD NEW PATCH CLASS [IMAGE [WORD...]]: must succeed. Pairs of the class - have no mean.
rebuild() {
    local name=$1.$2.$3 status=0 per_byte
    ./run.sh "$1" "$out/${8:-$1.elf}" "$4" "$6" "$runs/$name.new" "${@:9}" >"$runs/$name.full" || status=$?
    if [ "$status" -ne 0 ] || ! cmp "$5" "$runs/$name.new"; then
        cat "$runs/$name.full" >&2
        echo "FAILED: $name: exit status $status, or another file than $5" >&2
        failed=$((failed + 1))
        return
    fi
    # The image's own digest must be that of the file, not merely the one expected.
    if ! grep -qF "sha256: $(sha256sum <"$5" | cut -d' ' -f1)" "$runs/$name.full"; then
        echo "FAILED: $name: the image prints another digest than the file has" >&2
        failed=$((failed + 1))
        return
    fi
    costs_of "$1" "$2.$3" "$runs/$name.full"
    per_byte=$(sed -n 's/^instructions per byte: //p' "$runs/$name.full")
    [ "$7" = - ] || printf '%s\t%s.%s\t%s\n' "$1" "$2" "$7" "$per_byte" >>"$runs/per-byte.tsv"
    printf '%-56s %-5s %8s instructions a byte\n' "$name" "$7" "$per_byte"
    compare "$name"
}

# checked BOARD NAME OLD NEW PATCH: the image with checks must rebuild the same.
checked() {
    local name=$1.$2.checked
    if ! ./run.sh "$1" "$out/checked/$1.elf" "$3" "$5" "$runs/$name.new" >"$runs/$name.full" ||
        ! cmp "$4" "$runs/$name.new"; then
        cat "$runs/$name.full" >&2
        echo "FAILED: $name: it ends with an error, or with another file than $4" >&2
        failed=$((failed + 1))
        return
    fi
    printf '%-56s rebuilt\n' "$name"
    passed=$((passed + 1))
}

# refuse BOARD CASE OLD PATCH ERROR: must fail, with an error that starts so.
refuse() {
    local name=$1.refused.$2 status=0
    ./run.sh "$1" "$out/checked/$1.elf" "$3" "$4" "$runs/$name.new" >"$runs/$name.full" || status=$?
    if [ "$status" -ne 1 ] || ! grep -q "^error: $5" "$runs/$name.full"; then
        cat "$runs/$name.full" >&2
        echo "FAILED: $name: exit status $status, or not refused with \`$5...\`" >&2
        failed=$((failed + 1))
        return
    fi
    printf '%-56s refused\n' "$name"
    compare "$name"
}

mapfile -t pairs < <(tail -n +2 "$data/PAIRS.tsv")
mapfile -t table < <(boards)
first=true
for pair in "${pairs[@]}"; do
    IFS=$'\t' read -r _ _ family old new _ <<<"$pair"
    name=${family//\//-}.$(stem "$old")-$(stem "$new")
    class=$(class_of "$family" "$(stem "$old")" "$(stem "$new")")
    new=$data/$new
    if [ "$old" = - ]; then
        # A whole file: the boards are given an empty old one.
        with_old=()
        old=/dev/null
        name=${family//\//-}.$(stem "$new")
    else
        old=$data/$old
        with_old=(--old "$old")
    fi
    for profile in $(printf '%s\n' "${table[@]}" | cut -f3 | tr , '\n' | sort -u); do
        "$GMCF" compress "$new" "${with_old[@]}" --profile "$profile" --base none -o "$runs/$name.$profile.gmcf" >/dev/null
    done
    for line in "${table[@]}"; do
        IFS=$'\t' read -r board _ profiles _ <<<"$line"
        for profile in ${profiles//,/ }; do
            rebuild "$board" "$profile" "$name" "$old" "$new" "$runs/$name.$profile.gmcf" "$class"
        done
        if $first; then
            patch=$runs/$name.${profiles%%,*}.gmcf
            checked "$board" "$name" "$old" "$new" "$patch"
            size=$(stat -c %s "$patch")
            head -c $((size - 1)) "$patch" >"$runs/short.gmcf"
            "$GMCF" compress "$new" "${with_old[@]}" --profile host --base none -o "$runs/host.gmcf" >/dev/null
            refuse "$board" wrong-old "$new" "$patch" "wrong old image"
            refuse "$board" truncated "$old" "$runs/short.gmcf" "the update ends early"
            refuse "$board" over-budget "$old" "$runs/host.gmcf" "over budget"
        fi
    done
    first=false
done
# A script and a configuration without an old version, with the base model of the profile; without one they are refused.
# And two files that a base model with an Evoformer makes shorter, on every processor that has the memory for it.
models="mps2-an500 base medium micro
mps2-an386 nano small nano
lm3s6965evb base small nano
virt base small nano
mps2-an500 evoformer small $root/tests/golden/base/evoformer.gmcf
mps2-an386 evoformer small $root/tests/golden/base/evoformer.gmcf
virt evoformer small $root/tests/golden/base/evoformer.gmcf"
while read -r board image profile model; do
    files=("$data/dev/txt-cp-neopixel/neopixel_py/6.4.2.py" "$root/tests/golden/settings.txt")
    [ "$image" != evoformer ] || files=("$root/tests/golden/pump.js" "$root/tests/golden/pump.json")
    for file in "${files[@]}"; do
        name=$image.${file##*.}
        patch=$runs/$name.$board.gmcf
        "$GMCF" compress "$file" --profile "$profile" --base "$model" -o "$patch" >/dev/null
        # What runs on the Cortex-M4 is built for the Cortex-M7.
        rebuild "$board" "$profile" "$name" /dev/null "$file" "$patch" "$image" "$image.${board/an386/an500}.elf"
    done
done <<<"$models"
refuse virt no-base /dev/null "$runs/base.txt.virt.gmcf" "the container needs the base model"
refuse lm3s6965evb no-base /dev/null "$runs/base.txt.lm3s6965evb.gmcf" "the container needs the base model"
# Random bytes as position memories that the image makes itself: with an output projection, and under the natural code.
for board in mps2-an500 lm3s6965evb; do
    for memory in "64 8" "64 4" "64 2" "64 1" "8 1"; do
        read -r dim bits <<<"$memory"
        file=$data/dev/rand-512/r1.bin
        rebuild "$board" memory "${dim}x$bits" /dev/null "$file" "$file" - "memory.$board.elf" "$dim" "$bits"
    done
done
# Means over the pairs of a class: what the README promises.
if [ -f "$runs/per-byte.tsv" ]; then
    awk -F'\t' -v OFS='\t' '
        { key = $1 OFS $2; if (!(key in count)) order[++keys] = key; count[key]++; sum[key] += $3 }
        END {
            for (i = 1; i <= keys; i++) {
                key = order[i]
                printf "%s\tmean_instructions_per_byte\t%.2f\n", key, sum[key] / count[key]
            }
        }
    ' "$runs/per-byte.tsv" | tee -a "$costs"
fi
for expected in expected/*.txt; do
    if [ ! -f "$runs/${expected##*/}" ]; then
        echo "FAILED: $expected: nothing printed it" >&2
        failed=$((failed + 1))
    fi
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
