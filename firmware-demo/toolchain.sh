# shellcheck shell=bash
# Sourced after common.sh by the scripts that build for bare metal: which compiler, and how cargo is called for it.
#
# With all targets in the Rust toolchain (`rustup target add` for each) plain cargo builds them.
# Otherwise Debian's rustc-web builds `core` as well; its packages are installed when this runs as
# root. GMCF_FIRMWARE_COMPILER=plain or =debian decides for one of the two.

# use_bare_metal TASK TARGET...: TASK is build or clippy. Sets CARGO, the command to add crate and `--target` to, CARGO_CHECKED,
# the same for the profile `checked`, and CARGO_OUT, the folder in which cargo puts what it builds; exports RUSTFLAGS and,
# for Debian's compiler, RUSTC.
# Returns SKIPPED when there is no compiler for the targets.
# shellcheck disable=SC2034
use_bare_metal() {
    local task=$1 here sysroot target name pair missing=() remap compiler=${GMCF_FIRMWARE_COMPILER:-} linker
    shift
    here=$(realpath "$(dirname "${BASH_SOURCE[0]}")")
    sysroot=$(rustc --print sysroot)
    for target in "$@"; do
        [ -d "$sysroot/lib/rustlib/$target/lib" ] || missing+=("$target")
    done
    if [ -z "$compiler" ]; then
        compiler=plain
        [ ${#missing[@]} -eq 0 ] || compiler=debian
    fi
    case $task in
        build | clippy) CARGO=(cargo "$task") ;;
        *) echo "${0##*/}: no task \`$task\`" >&2 && return 2 ;;
    esac
    # The machine's own paths must not get into the images: their length would change the sizes.
    remap=("$HOME/.cargo/registry/src=registry" "${CARGO_HOME:-$HOME/.cargo}/registry/src=registry" "$(dirname "$here")=.")
    CARGO_OUT=$here/target/$compiler
    case $compiler in
        plain)
            if [ ${#missing[@]} -gt 0 ]; then
                echo "${0##*/}: targets missing; try: rustup target add ${missing[*]}" >&2
                return "$SKIPPED"
            fi
            ;;
        debian)
            echo "${0##*/}: using Debian's rustc-web with its library source (the toolchain lacks: ${missing[*]:-nothing})" >&2
            ensure_packages "[ -x /usr/bin/rustc ] && [ -d /usr/lib/rustlib/src/rust/library/core ]" \
                rustc-web rust-web-src libstd-rust-web-dev || return "$SKIPPED"
            if [ "$task" = clippy ]; then
                ensure_packages "[ -x /usr/bin/cargo-clippy ]" rust-web-clippy || return "$SKIPPED"
                CARGO[0]=/usr/bin/cargo-clippy
            fi
            linker=$(find "$sysroot/lib/rustlib" -name rust-lld -type f | head -n 1)
            if [ -z "$linker" ]; then
                ensure_packages "command -v ld.lld" lld || return "$SKIPPED"
                linker=$(command -v ld.lld)
            fi
            for target in "$@"; do
                name=${target^^}
                export "CARGO_TARGET_${name//-/_}_LINKER=$linker"
            done
            export RUSTC=/usr/bin/rustc RUSTC_BOOTSTRAP=1
            remap+=("/usr/lib/rustlib/src/rust=rust" "$(realpath /usr/lib/rustlib/src/rust)=rust")
            CARGO+=(-Zbuild-std=core)
            ;;
        *)
            echo "${0##*/}: GMCF_FIRMWARE_COMPILER is \`$compiler\`; plain and debian are known" >&2
            return 2
            ;;
    esac
    CARGO+=(--locked --target-dir "$CARGO_OUT")
    CARGO_CHECKED=("${CARGO[@]}" --profile checked)
    CARGO+=(--release)
    for pair in "${remap[@]}"; do
        RUSTFLAGS="${RUSTFLAGS:-} --remap-path-prefix=$pair"
    done
    export RUSTFLAGS
}
