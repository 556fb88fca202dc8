#!/usr/bin/env bash
# Compiles the kernels to PTX and checks the result:
#
#     ./build-ptx.sh            writes kernels.ptx and kernels.stamp anew
#     ./build-ptx.sh --check    fails when kernels.ptx is not what the sources give
#
# The stamp holds a hash of the sources and the compiler's version. Where the compiler is installed, --check compiles and
# compares byte for byte; elsewhere it compares the hash, and says so.
# Compiler and library source are Debian's rustc-web and rust-web-src (1.96 or newer): no CUDA, no network.
set -euo pipefail
cd "$(dirname "$0")"

rustc=${GMCF_PTX_RUSTC:-/usr/bin/rustc}
library=${GMCF_PTX_LIBRARY:-/usr/lib/rustlib/src/rust/library}
sources=$(find src -name '*.rs' ! -path src/sim.rs ! -path 'src/sim/*' | LC_ALL=C sort)
# shellcheck disable=SC2086
hash=$(cat build-ptx.sh $sources | sha256sum | cut -d' ' -f1)

pairs_of_blocks=(outer_mean_back triangle)

compile() {
    local out=$1 version flags system lib
    version=$("$rustc" -V | cut -d' ' -f2)
    system=../target/ptx/sysroot-$version
    lib=$system/lib/rustlib/nvptx64-nvidia-cuda/lib
    flags=(--target nvptx64-nvidia-cuda -Cpanic=abort -Copt-level=3 --sysroot "$system")
    export RUSTC_BOOTSTRAP=1
    if [ ! -f "$lib/done" ]; then
        mkdir -p "$lib"
        # Metadata only: what is used of `core` is compiled into our own module.
        local core=("${flags[@]}" --crate-type rlib --edition 2024 --emit=metadata -Zalways-encode-mir
            -Zforce-unstable-if-unmarked --cap-lints allow --out-dir "$lib")
        "$rustc" "${core[@]}" --crate-name core "$library/core/src/lib.rs"
        printf '#![feature(compiler_builtins)]\n#![compiler_builtins]\n#![no_std]\n' >"$system/builtins.rs"
        "$rustc" "${core[@]}" --crate-name compiler_builtins "$system/builtins.rs"
        touch "$lib/done"
    fi
    "$rustc" "${flags[@]}" --crate-type rlib --crate-name kernels --edition 2024 -Ctarget-cpu=sm_80 -Ccodegen-units=1 \
        --remap-path-prefix "$PWD"=. -Ainternal_features -Aunsafe_op_in_unsafe_fn --emit=asm="$out" src/lib.rs
    # Kernels of 256 threads of which two blocks have to fit on a multiprocessor, with 128 registers; nothing in Rust says so.
    local name
    for name in "${pairs_of_blocks[@]}"; do
        sed -i "/^\.visible \.entry $name(\$/,/^)\$/ s/^)\$/)\n.maxntid 256, 1, 1\n.minnctapersm 2/" "$out"
    done
    if [ "$(grep -c '^\.minnctapersm' "$out")" != "${#pairs_of_blocks[@]}" ]; then
        echo "build-ptx.sh: a kernel of pairs_of_blocks is missing" >&2
        return 1
    fi
    # A panic path or a function of the library that was not inlined.
    if grep -n '^\.extern \.func' "$out"; then
        echo "build-ptx.sh: calls that nobody answers" >&2
        return 1
    fi
    # An array that did not stay in registers.
    if grep -n '\.local' "$out"; then
        echo "build-ptx.sh: kernels that use local memory" >&2
        return 1
    fi
}

if [ "${1:-}" != --check ]; then
    compile kernels.ptx
    printf '%s\n%s\n' "$hash" "$("$rustc" -V)" >kernels.stamp
    echo "build-ptx.sh: $(grep -c '^\.visible \.entry' kernels.ptx) kernels, $(wc -c <kernels.ptx) bytes"
    exit
fi
if [ "$(head -1 kernels.stamp)" != "$hash" ]; then
    echo "build-ptx.sh: the kernels have changed since kernels.ptx was made; run ptx/build-ptx.sh" >&2
    exit 1
fi
if [ "$("$rustc" -V 2>/dev/null)" != "$(tail -1 kernels.stamp)" ] || [ ! -d "$library" ]; then
    echo "build-ptx.sh: the hash of the sources agrees; not compiled anew: this needs $(tail -1 kernels.stamp)"
    exit
fi
mkdir -p ../target/ptx
compile ../target/ptx/kernels.ptx
cmp kernels.ptx ../target/ptx/kernels.ptx
echo "build-ptx.sh: kernels.ptx is what the sources give"
