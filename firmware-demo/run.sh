#!/usr/bin/env bash
# Runs one image under QEMU and prints its transcript:
#
#     ./run.sh BOARD IMAGE OLD PATCH NEW [WORD...]
#
# BOARD is one of boards/BOARDS.tsv. NEW is written. WORDs follow on the image's command line. The exit status is the image's own.
# With -icount one instruction takes one nanosecond of the machine's time, so what the image counts
# does not depend on how busy this computer is.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=common.sh
. "$(dirname "$0")/common.sh"

if [ $# -lt 5 ]; then
    sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p;}' "$0" >&2
    exit 2
fi
board=$1 image=$(realpath "$2") old=$(realpath "$3") patch=$(realpath "$4") new=$(realpath -m "$5")
shift 5

qemu_of "$board" || exit 2
ensure_packages "command -v ${qemu[0]}" "$qemu_package" || exit 127

# The semihosting command line is split at spaces, so the image sees short names in a folder of its own.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
ln -s "$old" "$work/old"
ln -s "$patch" "$work/patch"
cd "$work"
words=
for word in "$@"; do
    words+=,arg=$word
done
status=0
# QEMU says of each of a board's unused timers that its period is zero.
timeout "${GMCF_QEMU_TIMEOUT:-120}" "${qemu[@]}" -display none -serial none -monitor none \
    -icount shift=0 -semihosting-config enable=on,target=native,arg=demo,arg=old,arg=patch,arg=new"$words" \
    -kernel "$image" </dev/null 2> >(grep -v '^Timer with period zero' >&2) || status=$?
if [ "$status" -eq 124 ]; then
    echo "run.sh: the image did not end in time" >&2
fi
if [ "$status" -eq 0 ]; then
    mv new "$new"
fi
exit "$status"
