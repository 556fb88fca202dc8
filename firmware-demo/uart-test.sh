#!/usr/bin/env bash
# Sends bytes to every board's serial port under QEMU and compares what its image `echo` sends back.
# Exit status 77: QEMU or a compiler is missing.
set -euo pipefail
cd "$(dirname "$0")"
# shellcheck source-path=SCRIPTDIR source=common.sh
. ./common.sh
# shellcheck source-path=SCRIPTDIR source=toolchain.sh
. ./toolchain.sh

ensure_qemu || exit "$SKIPPED"
mapfile -t targets < <(boards | cut -f2)
use_bare_metal build "${targets[@]}" || exit

work=$(mktemp -d)
running=
trap '[ -z "$running" ] || kill "$running" 2>/dev/null; rm -rf "$work"' EXIT
# Every byte but the line feed, which ends the image, in many orders.
head -c 8192 /dev/urandom | tr '\n' '\r' >"$work/sent"
printf '\n' >>"$work/sent"
size=$(stat -c %s "$work/sent")

failed=0
while IFS=$'\t' read -r board target _; do
    "${CARGO_CHECKED[@]}" --bin echo --target "$target"
    qemu_of "$board"
    # Started only once somebody listens. The port is freed when the image ends.
    for try in 1 2 3 4 5; do
        port=$((20000 + RANDOM % 30000))
        timeout 60 "${qemu[@]}" -display none -monitor none -serial "tcp:127.0.0.1:$port,server=on,wait=on" \
            -semihosting-config enable=on,target=native -kernel "$CARGO_OUT/$target/checked/echo" \
            </dev/null >"$work/qemu.log" 2>&1 &
        running=$!
        for _ in {1..50}; do
            if { exec 3<>"/dev/tcp/127.0.0.1/$port"; } 2>/dev/null; then
                break 2
            fi
            kill -0 "$running" 2>/dev/null || break
            sleep 0.1
        done
        echo "port $port is not to be had (try $try)" >&2
    done
    # The image says when its port is open.
    if [ "$(timeout 30 head -c 1 <&3)" != '!' ]; then
        cat "$work/qemu.log" >&2
        echo "FAILED: $board: it does not say that it is ready" >&2
        failed=$((failed + 1))
        kill "$running" 2>/dev/null || true
        wait "$running" || true
        exec 3>&-
        continue
    fi
    start=$(date +%s%N)
    cat "$work/sent" >&3 &
    sender=$!
    head -c "$size" <&3 >"$work/back"
    wait "$sender"
    exec 3>&-
    status=0
    wait "$running" || status=$?
    running=
    if [ "$status" -eq 0 ] && cmp "$work/sent" "$work/back"; then
        echo "$board: $size bytes there and back in $((($(date +%s%N) - start) / 1000000)) ms"
    else
        cat "$work/qemu.log" >&2
        echo "FAILED: $board: exit status $status, or other bytes came back" >&2
        failed=$((failed + 1))
    fi
done < <(boards)
[ "$failed" -eq 0 ]
