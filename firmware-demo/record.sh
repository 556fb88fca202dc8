#!/usr/bin/env bash
# Compares sizes, RAM and instruction counts of the images with the committed record, benches/boards.tsv:
#
#     ./record.sh             after build.sh, transcripts.sh and update-test.sh
#     ./record.sh --update    writes the record anew, and the table of targets in the READMEs
#     ./record.sh --table     prints the table of targets as the record has it
#
# The table stands in ../README.md and README.md between the lines `<!-- targets -->` and `<!-- /targets -->`; where it
# does, it must be the record's.
# Fails when a figure got worse by over 1 %, appeared or disappeared, or when a promise is broken.
# The record names the compiler that it was made with. With another one the figures are shown, not judged.
set -euo pipefail
cd "$(dirname "$0")"
# shellcheck source-path=SCRIPTDIR source=common.sh
. ./common.sh

record=../benches/boards.tsv
readmes=(../README.md README.md)
out=target/firmware
now=$out/boards.tsv

# targets RECORD: what the device images take, as Markdown.
targets() {
    boards | awk -F'\t' '
        function kib(bytes) { return sprintf("%.1f KiB", bytes / 1024) }
        NR == FNR { if ($2 == "device") value[$1, $3] = $4; if ($3 == "base_model_bytes") model = $4; next }
        FNR == 1 {
            print "| target | QEMU board | profile | flash | RAM in all | bound | of |"
            print "|---|---|---|---|---|---|---|"
        }
        {
            split($3, profiles, ",")
            flash = value[$1, "image_flash_bytes"]
            measured = value[$1, "ram_bytes"]
            bound = value[$1, "ram_bound_bytes"]
            printf "| `%s` | %s | `%s` | %s | %s | %s | %d KiB |\n", $2, $1, profiles[1], flash ? kib(flash) : "?",
                measured ? kib(measured) : "?", bound ? kib(bound) : "?", $4 / 1024
        }
    ' "$1" -
}

# table_in FILE: the lines between the markers.
table_in() {
    sed -n '/^<!-- targets -->$/,/^<!-- \/targets -->$/{/^<!--/d;p;}' "$1"
}

if [ "${1:-}" = --table ]; then
    targets "$record"
    exit
fi
if [ ! -s "$out/sizes.tsv" ]; then
    echo "record.sh: nothing built yet; run build.sh first" >&2
    exit "$SKIPPED"
fi
{
    printf 'image\titem\tmetric\tvalue\n'
    cat "$out/sizes.tsv"
    for costs in costs.tsv device-costs.tsv; do
        [ ! -f "$out/$costs" ] || cat "$out/$costs"
    done
} >"$now"

# What is promised, whatever the record and the compiler say.
broken=$(
    {
        boards | cut -f1,4
        cat "$now"
    } | awk -F'\t' '
        NF == 2 { ram[$1] = $2; next }
        $3 == "ram_bytes" || $3 == "ram_bound_bytes" { limit = ram[$1] }
        $3 == "decoder_flash_bytes" && $1 ~ /^thumb/ { limit = 48 * 1024 }
        # What the profiles leave for the stack beside the decoder: codec-core/src/limits.rs.
        $3 == "decoder_stack_bound_bytes" { limit = 2048 }
        # On the board that the profile is for.
        $3 == "mean_instructions_per_byte" && $1 == "lm3s6965evb" && $2 == "small.near" { limit = 400 }
        # A byte that the base model thinks about, and all else that it takes.
        $3 == "mean_instructions_per_byte" && $1 == "mps2-an386" && $2 == "small.nano" { limit = 100000 }
        $3 == "mean_instructions_per_byte" && $1 == "mps2-an500" && $2 == "medium.base" { limit = 250000 }
        $3 == "ram_bound_bytes" { bound[$1] = $4 }
        # What was measured cannot be more than what the call graph allows.
        $3 == "ram_bytes" && $2 == "device" && $1 in bound && $4 > bound[$1] { limit = bound[$1] }
        limit && $4 + 0 > limit { printf "BROKEN PROMISE: %s %s %s is %s, limit %s\n", $1, $2, $3, $4, limit }
        { limit = 0 }
    '
)
[ -z "$broken" ] || echo "$broken"

if [ "${1:-}" = --update ]; then
    cp "$now" "$record"
    targets "$record" >"$out/targets.md"
    for readme in "${readmes[@]}"; do
        sed -i -e "/^<!-- targets -->\$/r $out/targets.md" -e '/^<!-- targets -->$/,/^<!-- \/targets -->$/{/^<!--/!d;}' "$readme"
    done
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
for readme in "${readmes[@]}"; do
    if grep -q '^<!-- targets -->$' "$readme" && ! diff -u <(targets "$record") <(table_in "$readme"); then
        echo "record.sh: the table of targets in $readme is not the record's; write it with record.sh --update"
        status=1
    fi
done
case $broken in *BROKEN*) status=1 ;; esac
exit $status
