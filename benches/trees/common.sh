# shellcheck shell=bash
# Sourced by the scripts of this folder.

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source-path=SCRIPTDIR source=../../firmware-demo/common.sh
. "$here/../../firmware-demo/common.sh"

# Sorting must not depend on who runs it.
export LC_ALL=C

# series: prints the table of series without its heading.
series() {
    tail -n +2 "$here/series.tsv"
}

# pack DIR FILE: the files of a folder as a tar that depends on names, modes and contents alone.
pack() {
    tar --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner --format=ustar -C "$1" -cf "$2" .
}
