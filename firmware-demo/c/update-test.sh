#!/usr/bin/env bash
# Updates the device in C (device.c) under QEMU over its serial port: from the first image to the confirmed second one,
# with the power cut while the update comes and while it is installed; then a third one that nobody confirms. Tells the
# flash and the RAM that it takes.
#
#     ./update-test.sh
#
# A power cut is `kill -9` of QEMU; the flash is a file. GMCF names another `gmcf`; build.sh must have run. Exit status
# 77: QEMU is missing.
set -euo pipefail
cd "$(dirname "$0")"
# shellcheck source-path=SCRIPTDIR source=../common.sh
. ../common.sh
# shellcheck source-path=SCRIPTDIR source=../device.sh
. ../device.sh

board=lm3s6965evb
# Bytes of RAM that the board has; the device in C must do with them.
ram=65536
root=$(realpath ../..)
data=$root/tests/data/dev
out=$(realpath ../target/firmware-c)

ensure_packages "command -v qemu-system-arm" qemu-system-arm || exit "$SKIPPED"
if [ -z "${GMCF:-}" ]; then
    (cd "$root" && cargo build --release --locked -p host-trainer)
    GMCF=$(cd "$root" && realpath "${CARGO_TARGET_DIR:-target}")/release/gmcf
fi
work=$(mktemp -d)
trap 'power_off; [ -z "$push" ] || kill "$push" 2>/dev/null; rm -rf "$work"' EXIT
push=

fail() {
    echo "FAILED: $*" >&2
    tail -n 20 "$work/device.log" >&2
    [ ! -s "$work/push.log" ] || cat "$work/push.log" >&2
    exit 1
}

# said PATTERN: waits until the device says a line after the last power_on.
said() {
    local deadline=$((SECONDS + 10))
    until tail -n "+$log_start" "$work/device.log" | grep -Eq "$1"; do
        [ "$SECONDS" -lt "$deadline" ] || fail "it should say \`$1\`"
        sleep 0.02
    done
}

# on IMAGE: switches the device on.
on() {
    power_on "$board" "$out/$1.elf" "$work/flash"
    said '^state: '
}

# sends UPDATE ARGUMENT...: gmcf push, which must succeed.
sends() {
    timeout 60 "$GMCF" push "$1" --device "tcp://127.0.0.1:$port" "${@:2}" >"$work/push.log" 2>&1 ||
        fail "gmcf push ${*:2} ended with status $?"
}

# holds SLOT IMAGE
holds() {
    local start
    start=$(boards | awk -F'\t' -v board="$board" -v slot="$1" '$1 == board { print $8 + $9 + slot * $10 }')
    cmp <(tail -c "+$((start + 1))" "$work/flash" | head -c "$(stat -c %s "$2")") "$2" || fail "slot $1 does not hold $2"
}

# release OLD NEW VERSION KEY
release() {
    "$GMCF" release "$2" --old "$1" --for "$work/device.json" --version "$3" --key "$work/$4.key.pem" \
        -o "$work/$4.$3" >/dev/null
}

first=$data/fw-built-rust/v2.bin second=$data/fw-built-rust/v3.bin
device_file "$board" >"$work/device.json"
for key in test other; do
    "$GMCF" key new "$work/$key" >/dev/null
done
"$GMCF" flash "$work/flash" --for "$work/device.json" --image "$first" --version 1 --key "$work/test.pub.pem" >/dev/null
cp "$work/flash" "$work/flash.first"
release "$first" "$second" 2 test
release "$second" "$first" 3 other
release "$second" "$first" 3 test

# Undisturbed, and measured.
on measured
said '^boot: slot A, version 1, settled$'
begin=$(date +%s%N)
sends "$work/test.2" --confirm
took=$((($(date +%s%N) - begin) / 1000000))
said '^boot: slot B, version 2, trial$'
holds 1 "$second"
grep -E '^(decoder|statics|stack.*|ram in all): ' "$work/device.log"
all=$(sed -n 's/^ram in all: \([0-9]*\) bytes$/\1/p' "$work/device.log")
if [ "$all" -eq 0 ] || [ "$all" -gt "$ram" ]; then
    fail "$all bytes of RAM, the board has $ram"
fi
power_off

# The same, with the power cut at moments all through it. Each goes on where the one before stopped, unless the new image
# runs: it was not confirmed, and the device starts over.
cp "$work/flash.first" "$work/flash"
cuts=20 found=
on device
for ((cut = 1; cut <= cuts; cut++)); do
    "$GMCF" push "$work/test.2" --device "tcp://127.0.0.1:$port" >"$work/push.log" 2>&1 &
    push=$!
    pause=$((took * cut * 2 / (3 * cuts)))
    sleep "$((pause / 1000)).$(printf '%03d' $((pause % 1000)))"
    power_off
    kill "$push" 2>/dev/null || true
    wait "$push" || true
    push=
    on device
    found+=" $(sed -n "$log_start,\$s/^state: \\([0-9]*\\),.*/\\1/p" "$work/device.log" | tail -n 1)"
    if tail -n "+$log_start" "$work/device.log" | grep -q 'version 2,'; then
        power_off
        holds 1 "$second"
        cp "$work/flash.first" "$work/flash"
        on device
    fi
done
sends "$work/test.2" --confirm
holds 1 "$second"
power_off
on device
said '^boot: slot B, version 2, settled$'
echo "$cuts power cuts, after which the device was in the states$found; then version 2 runs"

# What no key has signed is refused; what nobody confirms is rolled back after its three boots.
status=0
timeout 60 "$GMCF" push "$work/other.3" --device "tcp://127.0.0.1:$port" >"$work/push.log" 2>&1 || status=$?
[ "$status" -eq 6 ] || fail "a forged update ended with status $status, not 6"
said '^error: bad signature, index 0$'
sends "$work/test.3"
for trial in 1 2 3; do
    said '^boot: slot A, version 3, trial$'
    power_off
    on device
    [ "$trial" -eq 3 ] || said 'version 3, trial$'
done
said '^boot: slot B, version 2, settled$'
power_off
echo "a forged update was refused, an unconfirmed one rolled back"
arm-none-eabi-size "$out/device.elf" | awk 'NR == 2 { print "device in C: " $1 + $2 " bytes of flash" }'
echo "passed"
