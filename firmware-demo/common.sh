# shellcheck shell=bash
# Sourced by the scripts of this folder and by test.sh.

# What a script returns when it lacks something that it cannot install.
# shellcheck disable=SC2034
SKIPPED=77

# ensure_packages COMMAND PACKAGE...: installs Debian packages unless COMMAND succeeds; fails when that is not possible.
ensure_packages() {
    local probe=$1
    shift
    if eval "$probe" >/dev/null 2>&1; then
        return 0
    fi
    if [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; then
        echo "installing: $*" >&2
        apt-get update -qq >&2 || true
        if DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "$@" >&2 &&
            eval "$probe" >/dev/null 2>&1; then
            return 0
        fi
    fi
    echo "missing, and cannot be installed from here; as root on Debian: apt-get install $*" >&2
    return 1
}

# boards: prints the table of boards without its heading.
boards() {
    tail -n +2 "$(dirname "${BASH_SOURCE[0]}")/boards/BOARDS.tsv"
}

# qemu_of BOARD: sets `qemu`, the command that is the board, and `qemu_package`, where Debian has it.
qemu_of() {
    # shellcheck disable=SC2034
    qemu_package="qemu-system-arm"
    case $1 in
        mps2-an500) qemu=(qemu-system-arm -M mps2-an500 -cpu cortex-m7) ;;
        # A Cortex-M4 with the memory map of the board above, for the same images.
        mps2-an386) qemu=(qemu-system-arm -M mps2-an386 -cpu cortex-m4) ;;
        lm3s6965evb | microbit) qemu=(qemu-system-arm -M "$1") ;;
        virt) qemu=(qemu-system-riscv32 -M virt -bios none) qemu_package="qemu-system-misc" ;;
        *) echo "no board \`$1\`" >&2 && return 1 ;;
    esac
}

# ensure_qemu: installs what the boards run on.
ensure_qemu() {
    local board
    while IFS=$'\t' read -r board _; do
        qemu_of "$board"
        ensure_packages "command -v ${qemu[0]}" "$qemu_package" || return 1
    done < <(boards)
}

# device_file BOARD [SLOTS]: prints the device file of the board's images `device` and `app`, for `gmcf flash` and
# `release`; with SLOTS 1, of the `device` with the feature `one-slot`.
device_file() {
    boards | awk -F'\t' -v board="$1" -v slots="${2:-2}" '
        $1 == board {
            split($3, profiles, ",")
            # With one slot, as src/board.rs has it.
            if (slots == 1) profiles[1] = "tiny"
            printf "{\"product\": %d, \"profile\": \"%s\", ", $5, profiles[1]
            printf "\"write_size\": %d, \"erase_size\": %d, ", $6, $7
            printf "\"state\": %d, \"download\": %d, ", $8, $9
            if (slots == 1) printf "\"scratch\": %d, ", $9
            printf "\"slot\": %d}\n", $10
        }
    '
}
