#!/usr/bin/env bash
# Every test of this repository. What a step lacks is installed when this runs as root on Debian;
# what cannot be had is skipped, and said at the end.
#
#     ./test.sh
#
# GMCF_NO_SKIP=1 makes a skipped firmware step a failure. GMCF_FUZZ_SECONDS is the time for each fuzz target (15).
set -uo pipefail
cd "$(dirname "$0")" || exit 1
# shellcheck source=firmware-demo/common.sh
. firmware-demo/common.sh

passed=() failed=() skipped=()

# step NAME COMMAND...: runs it, whatever happened before.
step() {
    local name=$1 status=0 start=$SECONDS
    shift
    printf '\n== %s\n' "$name"
    "$@" || status=$?
    case $status in
        0) passed+=("$name") ;;
        "$SKIPPED") skipped+=("$name") ;;
        *) failed+=("$name") ;;
    esac
    printf '== %s: exit status %d, %d s\n' "$name" "$status" $((SECONDS - start))
}

# A firmware step may be skipped on a developer's machine, not in CI.
firmware_step() {
    local status=0
    "$@" || status=$?
    if [ "$status" -eq "$SKIPPED" ] && [ -n "${GMCF_NO_SKIP:-}" ]; then
        echo "skipped, and GMCF_NO_SKIP is set" >&2
        status=1
    fi
    return "$status"
}

# What the host tests use where it can be had: they say so where not, and fail then if GMCF_NO_SKIP is set.
s3_server() {
    host-trainer/tests/fleet/s3.sh >/dev/null
}

# Likewise.
browser() {
    ensure_packages "command -v chromium && command -v chromedriver" chromium chromium-driver || return "$SKIPPED"
}

host_tests() {
    # zstd is C: its crate needs a compiler for the host.
    # The C interface is tested from C and C++ programs.
    ensure_packages "command -v cc && command -v c++" gcc g++ libc6-dev || return "$SKIPPED"
    # As a release, but an overflow is a panic.
    cargo test --workspace --profile checked --all-features --locked
}

fuzz() {
    local seconds=${GMCF_FUZZ_SECONDS:-15} target targets corpus
    if [ ! -d tests/fuzz ]; then
        echo "no tests/fuzz" >&2
        return "$SKIPPED"
    fi
    if ! rustup run nightly rustc --version || ! cargo fuzz --version; then
        echo "fuzzing needs a nightly toolchain (rustup toolchain install nightly) and cargo install --locked cargo-fuzz" >&2
        return "$SKIPPED"
    fi
    ensure_packages "command -v c++" g++ || return "$SKIPPED"
    targets=$(cargo +nightly fuzz list --fuzz-dir tests/fuzz) || return 1
    for target in $targets; do
        # What is found goes to a folder of its own, so that the committed corpus stays as it is.
        corpus=target/fuzz/corpus/$target
        mkdir -p "$corpus"
        local inputs=("$corpus")
        [ ! -d "tests/fuzz/corpus/$target" ] || inputs+=("tests/fuzz/corpus/$target")
        cargo +nightly fuzz run --fuzz-dir tests/fuzz --target-dir target/fuzz "$target" "${inputs[@]}" -- \
            -max_total_time="$seconds" -timeout=20 -rss_limit_mb=2048 -verbosity=0 -print_final_stats=1 || return 1
    done
}

# Undefined behaviour, as far as an interpreter sees it. It is slow, so the decoder's own tests only.
miri() {
    if ! cargo +nightly miri --version; then
        echo "Miri is missing (rustup +nightly component add miri)" >&2
        return "$SKIPPED"
    fi
    MIRIFLAGS=-Zmiri-disable-isolation cargo +nightly miri test -p codec-core -p update-core --lib
}

step "S3 server for the host tests" firmware_step s3_server
step "browser for the host tests" firmware_step browser
step "host tests" host_tests
# The scripts below would build one as a release.
program=$(realpath -m "${CARGO_TARGET_DIR:-target}")/checked/gmcf
[ ! -x "$program" ] || export GMCF="${GMCF:-$program}"
step "server against its OpenAPI document" firmware_step host-trainer/tests/fleet/schemathesis.sh
step "decoder and updater under Miri" miri
step "firmware images and link checks" firmware_step firmware-demo/build.sh
step "GPU kernels against their PTX" ptx/build-ptx.sh --check
step "firmware transcripts under QEMU" firmware_step firmware-demo/transcripts.sh
step "serial ports under QEMU" firmware_step firmware-demo/uart-test.sh
step "updates with power cuts under QEMU" firmware_step firmware-demo/update-test.sh
step "firmware sizes, RAM and instructions against benches/boards.tsv" firmware_step firmware-demo/record.sh
step "C header against its source" codec-c/check-header.sh
step "C firmware under QEMU" firmware_step firmware-demo/c/test.sh
step "CMake, Zephyr and ESP-IDF files" firmware_step codec-c/cmake/test.sh
step "fuzz smoke run" fuzz

printf '\n'
for name in "${skipped[@]}"; do
    echo "SKIPPED: $name (the reason is above)"
done
for name in "${failed[@]}"; do
    echo "FAILED: $name"
done
echo "${#passed[@]} passed, ${#failed[@]} failed, ${#skipped[@]} skipped"
[ ${#failed[@]} -eq 0 ]
