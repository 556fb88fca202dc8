#!/usr/bin/env bash
# Compares sizes and instruction counts of the images with the committed record, benches/boards.tsv:
#
#     ./record.sh             after build.sh and transcripts.sh
#     ./record.sh --update    writes the record anew
#
# Fails when a figure got worse by over 1 %, appeared or disappeared, or when a promise is broken.
# The record names the compiler that it was made with. With another one the figures are shown, not judged.
set -euo pipefail
cd "$(dirname "$0")"
# shellcheck source-path=SCRIPTDIR source=common.sh
. ./common.sh

record=../benches/boards.tsv
out=target/firmware
now=$out/boards.tsv
if [ ! -s "$out/sizes.tsv" ]; then
    echo "record.sh: nothing built yet; run build.sh first" >&2
    exit "$SKIPPED"
fi
{
    printf 'image\titem\tmetric\tvalue\n'
    cat "$out/sizes.tsv"
    [ ! -f "$out/costs.tsv" ] || cat "$out/costs.tsv"
} >"$now"

# What is promised, whatever the record and the compiler say.
broken=$(
    {
        boards | cut -f1,4
        cat "$now"
    } | awk -F'\t' '
        NF == 2 { ram[$1] = $2; next }
        $3 == "ram_bytes" { limit = ram[$1] }
        $3 == "decoder_flash_bytes" && $1 ~ /^thumb/ { limit = 48 * 1024 }
        # On the board that the profile is for.
        $3 == "mean_instructions_per_byte" && $1 == "lm3s6965evb" && $2 == "small.near" { limit = 400 }
        limit && $4 + 0 > limit { printf "BROKEN PROMISE: %s %s %s is %s, limit %s\n", $1, $2, $3, $4, limit }
        { limit = 0 }
    '
)
[ -z "$broken" ] || echo "$broken"

if [ "${1:-}" = --update ]; then
    cp "$now" "$record"
    echo "record.sh: benches/boards.tsv written, $(($(wc -l <"$record") - 2)) figures"
    exit
fi
if [ ! -f "$record" ]; then
    echo "record.sh: no benches/boards.tsv to compare with; make it with record.sh --update" >&2
    exit "$SKIPPED"
fi

status=0
awk -F'\t' '
    { key = $1 "\t" $2 "\t" $3 }
    FNR == 1 { next }
    $3 == "compiler" { compiler[FILENAME] = $4; next }
    NR == FNR { before[key] = $4; order[++keys] = key; next }
    !(key in before) { order[++keys] = key }
    { after[key] = $4 }
    END {
        same = compiler[ARGV[1]] == compiler[ARGV[2]]
        if (!same) {
            printf "record made with %s, this is %s:", compiler[ARGV[1]], compiler[ARGV[2]]
            print " figures are shown, not judged"
        }
        for (i = 1; i <= keys; i++) {
            key = order[i]
            shown = key
            gsub("\t", " ", shown)
            if (!(key in after)) { printf "%-10s %-70s %12s -> (none)\n", "gone", shown, before[key]; bad++; continue }
            if (!(key in before)) { printf "%-10s %-70s (none) -> %s\n", "new", shown, after[key]; bad++; continue }
            compared++
            if (before[key] == after[key]) continue
            percent = before[key] > 0 ? 100 * (after[key] / before[key] - 1) : 100
            verdict = percent > 1 ? "WORSE" : percent < -1 ? "better" : "within 1 %"
            if (percent > 1) bad++
            printf "%-10s %-70s %12s -> %-12s %+.2f %%\n", verdict, shown, before[key], after[key], percent
        }
        printf "record.sh: %d figures compared, %d beyond 1 %%, gone or new\n", compared, bad
        exit same && bad > 0
    }
' "$record" "$now" || status=1
case $broken in *BROKEN*) status=1 ;; esac
exit $status
