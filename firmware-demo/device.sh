# shellcheck shell=bash
# Sourced after common.sh: a device under QEMU that is switched on and off.

qemu_pid=
port=
log_start=1

# power_on BOARD IMAGE FLASH: starts QEMU on the image; the file FLASH is the flash. What the device says is added to
# device.log beside it, from line `log_start` on. Its serial port is on the TCP port `port`, the same one every time.
power_on() {
    local folder log try tries=40
    folder=$(dirname "$3")
    log=$folder/device.log
    touch "$log"
    log_start=$(($(wc -l <"$log") + 1))
    # Semihosting splits its command line at spaces, so the image sees short names.
    ln -sf "$2" "$folder/image"
    qemu_of "$1"
    # shellcheck disable=SC2154
    for ((try = 0; try < tries; try++)); do
        port=${port:-$((20000 + (BASHPID * 7 + try * 101) % 12000))}
        (
            cd "$folder" || exit
            exec "${qemu[@]}" -display none -monitor none -serial "tcp:127.0.0.1:$port,server=on,wait=off" \
                -semihosting-config "enable=on,target=native,arg=image,arg=${3##*/}" -kernel image \
                </dev/null >>"$log" 2>>"$folder/qemu.log"
        ) &
        qemu_pid=$!
        # QEMU ends at once when it cannot have the port.
        for _ in {1..100}; do
            if ! kill -0 "$qemu_pid" 2>/dev/null; then
                break
            fi
            if [ "$(wc -l <"$log")" -ge "$log_start" ]; then
                return
            fi
            sleep 0.01
        done
        if kill -0 "$qemu_pid" 2>/dev/null; then
            # It is slow to say its first line; so be it.
            return
        fi
        wait "$qemu_pid" || true
        qemu_pid=
        port=
    done
    echo "QEMU does not start:" >&2
    tail -n 5 "$folder/qemu.log" >&2
    return 1
}

# power_off: cuts the power, at whatever moment that is.
power_off() {
    if [ -n "$qemu_pid" ]; then
        kill -9 "$qemu_pid" 2>/dev/null || true
        wait "$qemu_pid" 2>/dev/null || true
        qemu_pid=
    fi
}
