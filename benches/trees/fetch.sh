#!/usr/bin/env bash
# Lays down successive versions of real trees as OUT/SERIES/NN-VERSION/...:
#
#     ./fetch.sh OUT             what is there already stays
#     ./fetch.sh OUT --record    writes trees.sha256 anew
#
# series.tsv names them. npm packages and wheels come unpacked from their registries, by npm and pip; the series
# `firmware` is made of the images in ../../tests/data. Executable files get mode 755, the others 644, folders 755, and
# all the same time stamp. Every tree must have the digest that trees.sha256 has for it.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=common.sh
. "$(dirname "$0")/common.sh"

if [ $# -lt 1 ]; then
    echo "usage: fetch.sh OUT [--record]" >&2
    exit 2
fi
mkdir -p "$1"
out=$(cd "$1" && pwd)
digests=$here/trees.sha256
temporary=$(mktemp -d)
trap 'rm -rf "$temporary"' EXIT

# npm_tree PACKAGE VERSION DIR: the contents of a package.
npm_tree() {
    local pack=$temporary/npm
    rm -rf "$pack"
    mkdir "$pack"
    (cd "$pack" && npm pack --silent "$1@$2" >/dev/null)
    tar -xzf "$pack"/*.tgz --strip-components=1 --no-same-owner -C "$3"
}

# wheel_tree PACKAGE VERSION DIR: the contents of a wheel for CPython 3.11 on x86-64 Linux.
wheel_tree() {
    local wheels=$temporary/wheels
    rm -rf "$wheels"
    pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: --implementation cp \
        --python-version 3.11 --platform manylinux_2_17_x86_64 --platform any --dest "$wheels" "$1==$2"
    unzip -q "$wheels"/*.whl -d "$3"
}

# firmware_tree SNAPSHOT DIR: a folder for every family of firmware, with its SNAPSHOT-th image or the last one it has.
firmware_tree() {
    local family image data=$here/../../tests/data
    while IFS=$'\t' read -r family image; do
        mkdir -p "$2/${family#fw-}"
        cp "$data/$image" "$2/${family#fw-}/${family#fw-}.bin"
    done < <(awk -F'\t' -v snapshot="$1" '
        $3 !~ /^fw-/ { next }
        !($3 in count) { image[$3, ++count[$3]] = $4 }
        { image[$3, ++count[$3]] = $5 }
        END {
            for (family in count) {
                k = snapshot < count[family] ? snapshot : count[family]
                printf "%s\t%s\n", family, image[family, k]
            }
        }
    ' "$data/PAIRS.tsv")
}

ensure_packages "command -v npm" npm
ensure_packages "command -v pip" python3-pip
ensure_packages "command -v unzip" unzip

while IFS=$'\t' read -r name source versions; do
    number=0
    for version in $versions; do
        number=$((number + 1))
        tree=$name/$(printf '%02d' "$number")-$version
        if [ ! -d "$out/$tree" ]; then
            echo "$tree" >&2
            rm -rf "$temporary/tree"
            mkdir "$temporary/tree"
            case $name in
                npm-*) npm_tree "$source" "$version" "$temporary/tree" ;;
                pypi-*) wheel_tree "$source" "$version" "$temporary/tree" ;;
                firmware) firmware_tree "$version" "$temporary/tree" ;;
            esac
            if [ -n "$(find "$temporary/tree" ! -type d ! -type f)" ]; then
                echo "fetch.sh: $tree has something else than files and folders" >&2
                exit 1
            fi
            find "$temporary/tree" -type d -exec chmod 755 {} +
            find "$temporary/tree" -type f -perm /111 -exec chmod 755 {} +
            find "$temporary/tree" -type f ! -perm /111 -exec chmod 644 {} +
            find "$temporary/tree" -exec touch -d @0 {} +
            mkdir -p "$out/$name"
            mv "$temporary/tree" "$out/$tree"
        fi
        pack "$out/$tree" "$temporary/tar"
        printf '%s  %s\n' "$(sha256sum <"$temporary/tar" | cut -d' ' -f1)" "$tree"
    done
done < <(series) >"$temporary/digests"

if [ "${2:-}" = --record ]; then
    cp "$temporary/digests" "$digests"
elif ! diff "$digests" "$temporary/digests" >&2; then
    echo "fetch.sh: trees differ from trees.sha256" >&2
    exit 1
fi
