#!/usr/bin/env bash
# Updates devices under QEMU over their serial ports, from the first image to the roll-back, and cuts their power at
# random moments meanwhile:
#
#     ./update-test.sh             every board
#     ./update-test.sh BOARD...    some
#
# The first update is measured on the release images; everything else is done by those with checks for overflows, where
# they fit the board. A power cut is `kill -9` of QEMU; the flash is a file. GMCF names another `gmcf`, GMCF_SEED another
# seed of the moments (1), GMCF_CUTS how many there are at least while the first update goes on, on each board (26). Exit
# status 77: QEMU or a compiler is missing.
set -euo pipefail
cd "$(dirname "$0")"
# shellcheck source-path=SCRIPTDIR source=common.sh
. ./common.sh
# shellcheck source-path=SCRIPTDIR source=device.sh
. ./device.sh

root=$(realpath ..)
data=$root/tests/data/dev
images=$(realpath -m target/firmware)
seed=${GMCF_SEED:-1}
cuts_wanted=${GMCF_CUTS:-26}
# While an update in place goes on.
cuts_in_place=$((cuts_wanted * 15 / 26))
# Least of all boards together, when all are tested.
cuts_promised=100

ensure_qemu || exit "$SKIPPED"
./build.sh >/dev/null
if [ -z "${GMCF:-}" ]; then
    (cd "$root" && cargo build --release --locked -p host-trainer)
    GMCF=$(cd "$root" && realpath "${CARGO_TARGET_DIR:-target}")/release/gmcf
fi
mapfile -t tested < <(if [ $# -gt 0 ]; then printf '%s\n' "$@"; else boards | cut -f1; fi)

work=$(mktemp -d)
trap 'power_off; [ -z "$push" ] || kill "$push" 2>/dev/null; rm -rf "$work"' EXIT
push=
cuts=0
RANDOM=$seed
costs=$images/device-costs.tsv
: >"$costs"

# fail WORDS...: what was expected, and what the device said.
fail() {
    echo "FAILED: $board: $*" >&2
    echo "the device:" >&2
    tail -n 20 "$work/$board/device.log" >&2
    [ ! -s "$work/$board/push.log" ] || { echo "gmcf push:" >&2 && cat "$work/$board/push.log" >&2; }
    exit 1
}

# said SECONDS PATTERN: waits until the device says a line after the last power_on.
said() {
    local deadline=$((SECONDS + $1))
    until tail -n "+$log_start" "$work/$board/device.log" | grep -Eq "$2"; do
        [ "$SECONDS" -lt "$deadline" ] || fail "it should say \`$2\`"
        sleep 0.02
    done
}

# cut_after MILLISECONDS: lets the device run for that time, and cuts its power.
cut_after() {
    local ms=$1
    sleep "$((ms / 1000)).$(printf '%03d' $((ms % 1000)))"
    power_off
    cuts=$((cuts + 1))
}

# sends UPDATE ARGUMENT...: gmcf push, which must succeed; it says nothing that is read here.
sends() {
    timeout 60 "$GMCF" push "$1" --device "tcp://127.0.0.1:$port" "${@:2}" >"$work/$board/push.log" 2>&1 ||
        fail "gmcf push ${*:2} ended with status $?"
}

# sends_at_last UPDATE: gmcf push as often as it takes: it goes on by itself when the device comes back, not for ever.
sends_at_last() {
    local try
    for try in {1..50}; do
        if timeout 60 "$GMCF" push "$1" --device "tcp://127.0.0.1:$port" --confirm >"$work/$board/push.log" 2>&1; then
            return
        fi
        echo "try $try: $(head -n 1 "$work/$board/push.log")" >>"$work/$board/tries.log"
        sleep 0.1
    done
    return 1
}

# holds SLOT IMAGE: the slot, 0 or 1, holds the image; SLOT `only` is the one slot.
holds() {
    local start
    start=$(boards | awk -F'\t' -v board="$board" -v slot="$1" '
        $1 == board { print $8 + $9 + (slot == "only" ? $9 : slot * $10) }
    ')
    cmp <(tail -c "+$((start + 1))" "$work/$board/flash" | head -c "$(stat -c %s "$2")") "$2" ||
        fail "slot $1 does not hold $2"
}

# lay_down FIRST [SLOTS]: flash with version 1 and the key `test`.
lay_down() {
    mkdir -p "$work/$board"
    device_file "$board" "${2:-2}" >"$work/$board/device.json"
    "$GMCF" flash "$work/$board/flash" --for "$work/$board/device.json" --image "$1" --version 1 \
        --key "$work/test.pub.pem" >/dev/null
}

# release OLD NEW VERSION OUT
release() {
    "$GMCF" release "$2" --old "$1" --for "$work/$board/device.json" --version "$3" --key "$work/test.key.pem" \
        -o "$work/$board/$4" >/dev/null
}

# cut_through IMAGE UPDATE VERSION SPAN CUTS: sends an update and cuts the power again and again, at first within SPAN
# milliseconds, until the update runs and is confirmed. Starts over until there have been CUTS cuts.
cut_through() {
    local image=$1 update=$2 version=$3 span rounds=0 before=$cuts name
    declare -A seen=()
    while [ $((cuts - before)) -lt "$5" ]; do
        power_off
        rounds=$((rounds + 1))
        span=$4
        cp "$work/$board/flash.first" "$work/$board/flash"
        power_on "$board" "$image" "$work/$board/flash"
        sends_at_last "$update" &
        push=$!
        while kill -0 "$push" 2>/dev/null; do
            cut_after $((RANDOM % span + 1))
            # Longer and longer: an update must come to its end.
            span=$((span + span / 8 + 1))
            power_on "$board" "$image" "$work/$board/flash"
            said 10 '^state: .* received$'
            # Lines come in pieces, so the whole of one was waited for.
            name=$(sed -n "$log_start,\$s/^state: \\([a-z ]*\\),.*/\\1/p" "$work/$board/device.log")
            seen[$name]=$((${seen[$name]:-0} + 1))
            if tail -n "+$log_start" "$work/$board/device.log" | grep -q "version $version,"; then
                # A cut would be one of the attempts that the new image has. Where nobody is left to confirm it, it is
                # rolled back and sent again.
                for _ in {1..100}; do
                    kill -0 "$push" 2>/dev/null || break
                    sleep 0.05
                done
            fi
        done
        wait "$push" || fail "gmcf push ended with status $?"
        push=
    done
    printf '%s, %s: %d power cuts in %d updates; afterwards the device was' "$board" "$(basename "$image" ".$board.elf")" $((cuts - before)) "$rounds"
    for name in "${!seen[@]}"; do
        printf ' %s (%s),' "$name" "${seen[$name]}"
    done
    printf ' and version %s is confirmed\n' "$version"
}

# roll_back IMAGE VERSION FORMER: version VERSION is on trial and never confirmed; its attempts are used up, and FORMER is back.
roll_back() {
    local image=$1 version=$2 former=$3
    local trials=1
    said 10 "^boot: .*version $version, trial"
    while :; do
        cut_after $((RANDOM % 50))
        power_on "$board" "$image" "$work/$board/flash"
        said 10 '^boot: .* id [0-9a-f]{32}$'
        ! tail -n "+$log_start" "$work/$board/device.log" | grep -q "version $former, settled" || break
        said 10 "version $version, trial"
        trials=$((trials + 1))
    done
    # What was cut off before the trial was recorded does not count, so there may be more boots than attempts.
    [ "$trials" -ge 3 ] || fail "version $version had $trials boots, not 3"
    "$GMCF" flash "$work/$board/flash" --for "$work/$board/device.json" --show | grep -q '^state: rolled back' ||
        fail "it is not rolled back"
}

# cycle IMAGE FIRST SECOND: flash, push, power cuts, resume, verify, boot, confirm, roll back.
cycle() {
    local image=$1 first=$2 second=$3 start took
    lay_down "$first"
    cp "$work/$board/flash" "$work/$board/flash.first"
    release "$first" "$second" 2 up.2
    release "$second" "$first" 3 up.3

    power_on "$board" "$image" "$work/$board/flash"
    said 10 'boot: slot A, version 1, settled'
    start=$(date +%s%N)
    sends "$work/$board/up.2" --confirm
    took=$((($(date +%s%N) - start) / 1000000))
    said 10 'boot: slot B, version 2, trial'
    holds 1 "$second"
    echo "$board: updated and confirmed in $took ms"
    # The greatest of all restarts so far is that of the install.
    sed -n 's/^ram in all: \([0-9]*\) bytes$/\1/p' "$work/$board/device.log" | sort -n | tail -n 1 |
        sed "s/^/$board\tdevice\tram_bytes\t/" >>"$costs"
    power_off
    no_errors

    image=$(checked "$image")
    cut_through "$image" "$work/$board/up.2" 2 $((took / 4)) "$cuts_wanted"
    holds 1 "$second"
    holds 0 "$first"
    power_off
    power_on "$board" "$image" "$work/$board/flash"
    said 10 'boot: slot B, version 2, settled'

    sends "$work/$board/up.3"
    roll_back "$image" 3 2
    # What was rolled back can be sent again.
    sends "$work/$board/up.3" --confirm
    holds 0 "$first"
    power_off
    power_on "$board" "$image" "$work/$board/flash"
    said 10 'boot: slot A, version 3, settled'
    power_off
    no_errors
}

# in_place IMAGE FIRST SECOND: the same with one slot, as far as there is something to go back to: the old image or the
# new one runs after each cut, if need be after the rest of the blocks has been replaced.
in_place() {
    local image=$1 first=$2 second=$3 start took try
    lay_down "$first" 1
    cp "$work/$board/flash" "$work/$board/flash.first"
    release "$first" "$second" 2 up.2
    power_on "$board" "$image" "$work/$board/flash"
    said 10 'boot: slot A, version 1, settled'
    start=$(date +%s%N)
    sends "$work/$board/up.2" --confirm
    took=$((($(date +%s%N) - start) / 1000000))
    echo "$board: updated in place and confirmed in $took ms"
    holds only "$second"
    # Until a cut has fallen between two blocks: they are replaced in a small part of the time.
    for try in {1..8}; do
        cut_through "$image" "$work/$board/up.2" 2 $((took / 4)) "$cuts_in_place"
        holds only "$second"
        ! grep -q '^boot: blocks are being replaced' "$work/$board/device.log" || break
    done
    power_off
    power_on "$board" "$image" "$work/$board/flash"
    said 10 'boot: slot A, version 2, settled'
    power_off
    ! grep -n '^boot: no slot' "$work/$board/device.log" || fail "neither image was whole"
    grep -q '^boot: blocks are being replaced' "$work/$board/device.log" || fail "no cut fell between two blocks"
    no_errors
}

# no_errors: nothing has gone wrong so far, on any image.
no_errors() {
    ! grep -n '^error\|^panicked' "$work/$board/device.log" "$work/$board/qemu.log" || fail "it reported an error"
}

# checked IMAGE: the same with checks for overflows, if there is such a one.
checked() {
    local image=${1%/*}/checked/${1##*/}
    if [ -f "$image" ]; then echo "$image"; else echo "$1"; fi
}

# hex FILE: its bytes in hex, on one line.
hex() {
    od -An -v -tx1 "$1" | tr -d ' \n'
}

# no_key_in FILE...: no image may hold the bytes of a key of this test.
no_key_in() {
    local file pem key
    for pem in "$work"/test.*.pem; do
        # The last 32 bytes of the DER, in both kinds of file.
        grep -v '^-' "$pem" | base64 -d | tail -c 32 >"$work/key"
        key=$(hex "$work/key")
        [ ${#key} -eq 64 ] || fail "$pem has no key of 32 bytes"
        for file in "$@"; do
            ! hex "$file" | grep -q "$key" || fail "$file has the key of ${pem##*/} in it"
        done
        if [ "$pem" = "$work/test.pub.pem" ]; then
            # The search does find what is there.
            hex "$work/$board/flash" | grep -q "$key" || fail "the flash has no key"
        fi
    done
}

"$GMCF" key new "$work/test" >/dev/null
for board in "${tested[@]}"; do
    port=
    case $board in
        # An update for the board's own processor where there is one.
        mps2-an500) first=fw-greatfet/2021.2.1.bin second=fw-greatfet/2024.0.0.bin ;;
        lm3s6965evb) first=fw-built-rust/v2.bin second=fw-built-rust/v3.bin ;;
        microbit) first=fw-greatfet-stub/2021.2.1.bin second=fw-greatfet-stub/2024.0.0.bin ;;
        virt) first=fw-espboot-c3/3.3.0.bin second=fw-espboot-c3/4.0.0.bin ;;
        *) echo "update-test.sh: no board \`$board\`" >&2 && exit 2 ;;
    esac
    cycle "$images/device.$board.elf" "$data/$first" "$data/$second"
    no_key_in "$images/device.$board.elf"

    if [ -f "$images/checked/one-slot.$board.elf" ]; then
        in_place "$images/checked/one-slot.$board.elf" "$data/$first" "$data/$second"
    fi

    if [ -f "$images/boot.$board.elf" ]; then
        # The image that runs is replaced by a delta of itself; the third has a fault.
        app=$images/checked/app.$board
        loader=$(checked "$images/boot.$board.elf")
        lay_down "$app.1.bin"
        cp "$work/$board/flash" "$work/$board/flash.first"
        release "$app.1.bin" "$app.2.bin" 2 app.2
        release "$app.2.bin" "$app.3.bin" 3 app.3
        power_on "$board" "$loader" "$work/$board/flash"
        said 10 '^app: this is version 1$'
        cut_through "$loader" "$work/$board/app.2" 2 300 $((cuts_wanted / 2))
        said 10 '^app: this is version 2$'
        cut_after 0
        power_on "$board" "$loader" "$work/$board/flash"
        said 10 '^boot: slot B, version 2, settled'
        said 10 '^app: this is version 2$'
        # It never answers after its start, so what is sent cannot be said to run.
        timeout 60 "$GMCF" push "$work/$board/app.3" --device "tcp://127.0.0.1:$port" >"$work/$board/push.log" 2>&1 || true
        said 10 '^app: a fault$'
        said 20 '^state: rolled back, .* received$'
        trials=$(tail -n "+$log_start" "$work/$board/device.log" | grep -c '^boot: slot A, version 3, trial')
        [ "$trials" -eq 3 ] || fail "the fault had $trials attempts, not 3"
        # The next one is none the worse for it.
        release "$app.2.bin" "$app.1.bin" 4 app.4
        sends "$work/$board/app.4" --confirm
        said 10 '^boot: slot A, version 4, trial'
        power_off
        echo "$board: its own image updated by $(stat -c %s "$work/$board/app.2") bytes; one with a fault was rolled back"
        no_key_in "$loader" "$app".*.bin "$images/boot.$board.elf" "$images/app.$board".*.bin
    fi
done
echo "$cuts power cuts in all, seed $seed"
if [ $# -eq 0 ] && [ "$cuts" -lt "$cuts_promised" ]; then
    echo "FAILED: $cuts_promised were promised" >&2
    exit 1
fi
echo "passed"
