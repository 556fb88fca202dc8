#!/usr/bin/env bash
# Asks a server in ways that its OpenAPI document allows and in ways that it does not, and compares the answers with the
# document.
#
#     host-trainer/tests/fleet/schemathesis.sh [GMCF]
#
# GMCF is the program; without it, it is built. GMCF_SCHEMA_EXAMPLES is the number of requests for each operation (20),
# GMCF_SCHEMA_SEED the seed of what is asked. The exit status is 77 when schemathesis cannot be had.
set -uo pipefail
cd "$(dirname "$0")/../../.." || exit 1
# shellcheck source=firmware-demo/common.sh
. firmware-demo/common.sh

version=4.32.5
folder=$PWD/target/tools/schemathesis-$version
schemathesis=$folder/bin/schemathesis

if ! "$schemathesis" --version >/dev/null 2>&1; then
    ensure_packages "python3 -c 'import ensurepip, venv'" python3-venv || exit "$SKIPPED"
    mkdir -p "$(dirname "$folder")"
    if ! python3 -m venv --clear "$folder" ||
        ! "$folder/bin/pip" install --disable-pip-version-check --quiet "schemathesis==$version" ||
        ! "$schemathesis" --version; then
        echo "schemathesis $version cannot be installed from PyPI" >&2
        exit "$SKIPPED"
    fi
fi

ensure_packages "command -v curl" curl || exit "$SKIPPED"

gmcf=${1:-target/checked/gmcf}
if [ $# -eq 0 ]; then
    cargo build --workspace --profile checked --all-features --locked --bin gmcf || exit 1
fi

work=$(mktemp -d)
server=
# shellcheck disable=SC2317
finish() {
    if [ -n "$server" ]; then
        kill -9 "$server"
        wait "$server"
    fi 2>/dev/null
    rm -rf "$work"
}
trap finish EXIT

# The names of the document's examples, so that some requests find something.
token=$("$gmcf" token new --store "$work/store" 2>/dev/null) || exit 1
TMPDIR=$work "$gmcf" serve --store "$work/store" --listen 127.0.0.1:0 --max-body 200000 --max-job 200000 --timeout 5 \
    >"$work/address" 2>"$work/log" &
server=$!
for _ in $(seq 100); do
    [ ! -s "$work/address" ] || break
    sleep 0.1
done
url=$(cat "$work/address")
for name in gateway sensor; do
    for number in 1.0.0 2.0.1; do
        seq "${number%%.*}" 2000 >"$work/content"
        curl -sSf -o /dev/null -T "$work/content" -H "Authorization: Bearer $token" "$url/names/$name/versions/$number" || exit 1
    done
done

status=0
here=$PWD/host-trainer/tests/fleet
# It keeps notes in the folder that it is started in.
(cd "$work" && SCHEMATHESIS_HOOKS=$here/schemathesis_hooks.py "$schemathesis" --config-file "$here/schemathesis.toml" \
    run "$url/openapi.json" --checks all --phases examples,coverage,fuzzing --max-time 40 --workers 1 --no-shrink \
    --max-examples "${GMCF_SCHEMA_EXAMPLES:-20}" --seed "${GMCF_SCHEMA_SEED:-1}" --request-timeout 20 \
    --header "Authorization: Bearer $token" --warnings off --no-color) || status=1

if ! curl -sSf "$url/healthz"; then
    echo "the server does not answer any more" >&2
    status=1
fi
if grep -n -E "panic| ERROR " "$work/log"; then
    echo "the server has failed; its log is above" >&2
    status=1
fi
exit "$status"
