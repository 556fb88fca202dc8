#!/bin/sh
# Installs the delta tools that `gmcf bench --peers` compares with, and says what it could not install.
#
#   benches/install-peers.sh [PREFIX]     PREFIX/bin (default ~/.local/bin) takes what no system package holds
#
# The sources of the C decoders that energy/run.sh builds for a microcontroller stay in PREFIX/share/gmcf-peers/src.
#
# The bench runs what it finds on PATH and names what it does not find, so nothing here is mandatory.
# Exit code: 0 when every tool is there in the end, 1 when some are missing.
set -u

prefix=${1:-$HOME/.local}
bin=$prefix/bin
mkdir -p "$bin" || exit 1
case ":$PATH:" in *":$bin:"*) ;; *) PATH=$bin:$PATH; echo "note: put $bin on PATH" ;; esac
missing=""

have() { command -v "$1" >/dev/null 2>&1; }
lacking() { missing="$missing
  $1: $2"; }

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"
    elif have sudo && sudo -n true 2>/dev/null; then sudo -n "$@"
    else return 1
    fi
}

updated=""
package() { # package PROGRAM PACKAGE
    have "$1" && return 0
    if ! have apt-get; then lacking "$1" "no apt-get here; install the package $2 by hand"; return 1; fi
    if [ -z "$updated" ]; then updated=yes; as_root apt-get update -qq >/dev/null 2>&1; fi
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$2" >/dev/null 2>&1
    have "$1" && return 0
    lacking "$1" "could not install the package $2 (root needed: apt-get install $2)"
    return 1
}

package bsdiff bsdiff       # brings bspatch on older releases
package bspatch bsdiff
package zstd zstd
package xdelta3 xdelta3
package xz xz-utils
package brotli brotli

# detools lives in a virtual environment of its own, so that the system's Python stays as it is.
if ! have detools; then
    venv=$prefix/share/gmcf-peers/detools
    if have python3 && python3 -m venv "$venv" >/dev/null 2>&1 && "$venv/bin/pip" install -q detools==0.53.0 >/dev/null 2>&1; then
        ln -sf "$venv/bin/detools" "$bin/detools"
    fi
    have detools || lacking detools "needs python3 with venv, a C compiler and network: pip install detools==0.53.0"
fi

# HDiffPatch and HPatchLite are in no Debian package, and their Python packages have no command line: source.
build=$(mktemp -d) || exit 1
trap 'rm -rf "$build"' EXIT
home=https://github.com/sisong
sources=$prefix/share/gmcf-peers/src
lite_decoder=$sources/HPatchLite/HDiffPatch/libHDiffPatch/HPatchLite/hpatch_lite.c
can_build() { have git && have make && have g++; }

if ! have hdiffz || ! have hpatchz; then
    if can_build; then
        (
            cd "$build" &&
            git clone -q --depth 1 --branch v4.12.0 "$home/HDiffPatch.git" &&
            for name in lzma libmd5; do git clone -q --depth 1 "$home/$name.git" || exit 1; done &&
            make -C HDiffPatch LDEF=0 ZLIB=0 ZSTD=0 XXH=0 BSD=0 BZIP2=0 VCD=0 &&
            cp HDiffPatch/hdiffz HDiffPatch/hpatchz "$bin/"
        ) >"$build/hdiffz.log" 2>&1
    fi
    have hdiffz && have hpatchz || lacking "hdiffz, hpatchz" "build HDiffPatch from source with git, make, g++: $home/HDiffPatch"
fi
if ! have hdiffi || ! have hpatchi || [ ! -f "$lite_decoder" ]; then
    if can_build; then
        (
            cd "$build" &&
            git clone -q --depth 1 --branch v1.0.2 --recursive --shallow-submodules "$home/HPatchLite.git" &&
            make -C HPatchLite &&
            cp HPatchLite/hdiffi HPatchLite/hpatchi "$bin/" &&
            mkdir -p "$sources" && rm -rf "$sources/HPatchLite" && mv HPatchLite "$sources/"
        ) >"$build/hdiffi.log" 2>&1
    fi
    have hdiffi && have hpatchi || lacking "hdiffi, hpatchi" "build HPatchLite from source with git, make, g++: $home/HPatchLite"
    [ -f "$lite_decoder" ] || lacking "HPatchLite's C decoder" "clone $home/HPatchLite v1.0.2, with submodules, to $sources/HPatchLite"
fi

# detools' Python package comes without its C decoder.
detools_home=https://github.com/eerimoq/detools
if [ ! -f "$sources/detools/c/detools.c" ]; then
    if have git; then
        (
            mkdir -p "$sources" && cd "$build" && git clone -q --depth 1 --branch 0.53.0 "$detools_home.git" &&
            rm -rf "$sources/detools" && mv detools "$sources/"
        ) >"$build/detools.log" 2>&1
    fi
    [ -f "$sources/detools/c/detools.c" ] || lacking "detools' C decoder" "clone $detools_home 0.53.0 to $sources/detools"
fi

for program in hdiffz hpatchz hdiffi hpatchi detools bsdiff bspatch zstd xdelta3 xz brotli; do
    have "$program" && echo "ready: $program ($(command -v "$program"))"
done
if [ -n "$missing" ]; then
    echo "missing:$missing"
    exit 1
fi
