#!/usr/bin/env bash
# Makes include/gmcf.h anew and compares it with the committed one:
#
#     ./check-header.sh             fails when they differ
#     ./check-header.sh --update    writes it
#
# cbindgen is a tool beside the build, never linked; it is installed with cargo where it is missing or another version.
# Exit status 77: it cannot be had.
set -euo pipefail
cd "$(dirname "$0")"
# shellcheck source-path=SCRIPTDIR source=../firmware-demo/common.sh
. ../firmware-demo/common.sh

# Another version may write the same header in another way.
version=0.29.4

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
if [ "$(cbindgen --version 2>/dev/null)" != "cbindgen $version" ]; then
    echo "installing: cbindgen $version" >&2
    # Not where another version may be in use.
    tools=${CARGO_TARGET_DIR:-../target}/tools
    if [ "$("$tools/bin/cbindgen" --version 2>/dev/null)" != "cbindgen $version" ] &&
        ! cargo install --quiet --locked cbindgen --version "$version" --root "$tools" --target-dir "$work/build" >&2; then
        echo "missing, and cannot be installed from here: cargo install --locked cbindgen --version $version" >&2
        exit "$SKIPPED"
    fi
    PATH=$(realpath "$tools")/bin:$PATH
fi

cbindgen --quiet --config cbindgen.toml --output "$work/gmcf.h" .
if [ "${1:-}" = --update ]; then
    mkdir -p include
    cp "$work/gmcf.h" include/gmcf.h
    exit
fi
if ! diff -u include/gmcf.h "$work/gmcf.h"; then
    echo "check-header.sh: include/gmcf.h is not what the sources give; run check-header.sh --update" >&2
    exit 1
fi
echo "check-header.sh: include/gmcf.h is current"
