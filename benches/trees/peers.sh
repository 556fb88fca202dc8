#!/usr/bin/env bash
# What an update of a whole tree costs on the wire:
#
#     ./peers.sh OUT [SERIES...]                      for OUT as fetch.sh lays it down
#     ./peers.sh OUT --keep peers.tsv [SERIES...]     measures gmcf alone; the others stay as they are there
#
# Prints a line of TSV for every two consecutive versions of every series: what differs, and the bytes that each tool
# sends. Every tool must rebuild the new tree, names, modes and contents; one that is not installed has NA. Where a tool
# was tried in several ways, the least counts; the lines on standard error tell them apart. `gmcf` is the program that
# GMCF names.
set -euo pipefail
shopt -s inherit_errexit
# shellcheck source-path=SCRIPTDIR source=common.sh
. "$(dirname "$0")/common.sh"

if [ $# -lt 1 ] || [ ! -d "$1" ]; then
    echo "usage: peers.sh OUT [--keep FILE] [SERIES...]" >&2
    exit 2
fi
out=$(cd "$1" && pwd)
shift
kept=
if [ "${1:-}" = --keep ]; then
    kept=$(realpath "$2")
    shift 2
fi
peers=(rsync zstd casync xdelta3 bsdiff hdiffz)
temporary=$(mktemp -d)
trap 'rm -rf "$temporary"' EXIT
cd "$temporary"

ensure_packages "command -v jq && command -v bc && command -v curl" jq bc curl || true
if [ -z "$kept" ]; then
    for command in rsync zstd casync xdelta3 bsdiff; do
        ensure_packages "command -v $command" "$command" || true
    done
fi

# What stands in for a remote shell: the "remote" rsync runs here, at the other end of a pipe.
cat >remote-shell <<'END'
#!/bin/sh
shift
exec sh -c "$*"
END
chmod +x remote-shell

# count FILE...: bytes of all files together.
count() {
    stat -c %s "$@" | awk '{ bytes += $1 } END { print bytes + 0 }'
}

# rebuilt FOLDER|TAR: fails unless it is the new tree.
rebuilt() {
    local tar=$1
    if [ -d "$1" ]; then
        tar=rebuilt.tar
        pack "$1" "$tar"
    fi
    if ! cmp -s "$tar" new.tar; then
        echo "peers.sh: $key: $tar is not the new tree" >&2
        return 1
    fi
}

# Each of the following makes and applies one kind of update, of old.tar or $old to new.tar or $new, and prints its bytes.

# by_rsync OPTION...: all that goes over the pipe, in both directions, while a client brings its old tree up to date.
by_rsync() {
    rm -rf client
    cp -a "$old" client
    rsync --recursive --perms --checksum --delete-after --stats --no-human-readable "$@" \
        --rsh "$temporary/remote-shell" server:"$new/" client/ >stats
    rebuilt client
    awk '/^Total bytes (sent|received):/ { bytes += $NF; lines++ } END { if (lines != 2) exit 1; print bytes }' stats
}

by_zstd() {
    zstd -q -f --ultra -22 --long=27 --single-thread \
        --zstd=targetLength=4096,hashLog=27,chainLog=28,searchLog=16 --patch-from=old.tar new.tar -o patch 2>zstd.log
    zstd -q -f -d --long=27 --patch-from=old.tar patch -o rebuilt.tar
    rebuilt rebuilt.tar
    count patch
}

# by_casync SIZE: the index, and the chunks (of SIZE bytes on average) that the old version does not have.
by_casync() {
    local options=(--with=permissions --compression=zstd --chunk-size="$1")
    rm -rf store client folder
    mkdir store client folder
    casync make "${options[@]}" --store=client old.caidx "$old" >/dev/null
    casync make "${options[@]}" --store=store new.caidx "$new" >/dev/null
    (cd client && find . -name '*.cacnk') | sort >had
    (cd store && find . -name '*.cacnk') | sort | comm -13 had - >missing
    cp -r --no-clobber store/. client/
    casync extract --seed-output=no --store=client new.caidx folder >/dev/null
    rebuilt folder
    (cd store && xargs -r stat -c %s <../missing) |
        awk -v bytes="$(count new.caidx)" '{ bytes += $1 } END { print bytes }'
}

by_xdelta3() {
    xdelta3 -e -9 -S lzma -W 16777216 -B 268435456 -f -s old.tar new.tar patch
    xdelta3 -d -f -B 268435456 -s old.tar patch rebuilt.tar
    rebuilt rebuilt.tar
    count patch
}

by_bsdiff() {
    bsdiff old.tar new.tar patch
    bspatch old.tar rebuilt.tar patch
    rebuilt rebuilt.tar
    count patch
}

# by_hdiffz tars|folders MODE
by_hdiffz() {
    local from=old.tar to=new.tar result=rebuilt.tar
    if [ "$1" = folders ]; then
        from=$old to=$new result=folder
    fi
    rm -rf "$result"
    hdiffz "$2" -SD -f -d -p-1 -c-lzma2-9-64m "$from" "$to" patch >/dev/null
    hpatchz -s-64k -f "$from" patch "$result" >/dev/null
    if [ "$1" = folders ]; then
        # It brings over that a file may be executed, and takes the rest of the mode from the umask.
        find folder -type d -exec chmod 755 {} +
        find folder -type f -perm /100 -exec chmod 755 {} +
        find folder -type f ! -perm /100 -exec chmod 644 {} +
    fi
    rebuilt "$result"
    count patch
}

# gmcf_wire OLD_DIR NEW_DIR: what a client that follows one tree receives until it has the other: the brief statement about the
# version and the patch; then, for the record on standard error, all bytes in both directions with their HTTP heads, as `gmcf
# sync` counts them. A real server and a real client; the tree that comes out is compared.
gmcf_wire() (
    work=$(mktemp -d)
    server=''
    # shellcheck disable=SC2317,SC2329
    stop() {
        if [ -n "$server" ]; then
            kill "$server" 2>/dev/null || true
            # It may be writing until it has ended.
            wait "$server" 2>/dev/null || true
        fi
        rm -rf "$work"
    }
    trap stop EXIT
    gmcf=${GMCF:-gmcf}
    "$gmcf" serve --store "$work/store" --listen 127.0.0.1:0 >"$work/address" 2>"$work/log" &
    server=$!
    for _ in $(seq 200); do
        [ ! -s "$work/address" ] || break
        sleep 0.05
    done
    url=$(cat "$work/address")
    [ -n "$url" ] || { echo NA && return; }
    GMCF_TOKEN=$("$gmcf" token new --store "$work/store" 2>/dev/null)
    export GMCF_TOKEN
    "$gmcf" key new "$work/key" >/dev/null
    publish() {
        "$gmcf" snapshot "$1" --server "$url" --name tree --version "$2" --key "$work/key.key.pem" >/dev/null
    }
    publish "$1" 1
    # The folder is known, so nothing is fetched: it follows from now on.
    cp -a "$1" "$work/client"
    "$gmcf" sync --to "$work/client" --server "$url" --name tree --key "$work/key.pub.pem" >/dev/null || { echo NA && return; }
    publish "$2" 2
    "$gmcf" sync --to "$work/client" --timeout 86400 --json >"$work/record" || { echo NA && return; }
    rm -rf "$work/client/.gmcf"
    diff -r "$2" "$work/client" >&2 || { echo NA && return; }
    curl -fsS -o "$work/statement" -H 'Accept: application/vnd.gmcf.statement.brief' "$url/names/tree/latest"
    curl -fsS -o "$work/patch" -H 'Accept: application/vnd.gmcf.patch' "$url/delta/between?name=tree&from=1&to=2"
    echo "gmcf: patch $(stat -c %s "$work/patch"), statement $(stat -c %s "$work/statement"), all with heads" \
        "$(jq '.bytes_received + .bytes_sent' "$work/record")" >&2
    stat -c %s "$work/patch" "$work/statement" | paste -sd+ | bc
)

# ways PEER: the ways to try, a line each, in words.
ways() {
    case $1 in
        rsync)
            # As most use it; then the best compression and the shortest check sums it has, with the block size it
            # chooses and others, or with whole files.
            echo "-z"
            local rest
            for rest in "" "--block-size=256" "--block-size=512" "--block-size=1024" "--fuzzy" "--whole-file"; do
                echo "--zc=zstd --zl=22 --cc=xxh64 $rest"
            done
            ;;
        casync) printf '%s\n' 65536 16384 4096 ;;
        hdiffz) printf '%s\n' "tars -m-6" "tars -m-1" "folders -m-6" "folders -m-1" ;;
        *) echo "" ;;
    esac
}

# least PEER: the bytes of its best way, or NA.
least() {
    local way bytes best=NA words
    if ! command -v "$1" >/dev/null; then
        echo NA
        return
    fi
    while read -r way; do
        read -ra words <<<"$way"
        bytes=$("by_$1" "${words[@]}")
        printf '%s\t%s\t%s\t%s\t%s\n' "$key" "$1" "$bytes" "${way% }" "$SECONDS s" >&2
        if [ "$best" = NA ] || [ "$bytes" -lt "$best" ]; then
            best=$bytes
        fi
    done < <(ways "$1")
    echo "$best"
}

# changes: how many files one tree has and the other has not, or has with other contents.
changes() {
    # Differing files, and those of one side only; a folder of one side only counts with its files.
    comm -3 <(digests "$old") <(digests "$new") | sed 's/^[^ ]*  //' | sort -u | wc -l
}

# digests DIR: mode, digest and name of every file, sorted.
digests() {
    (cd "$1" && find . -type f -printf '%m ' -exec sha256sum {} \; | sed 's/ /-/' | sort)
}

# measure: the columns after the key, up to gmcf's.
measure() {
    local peer
    pack "$old" old.tar
    pack "$new" new.tar
    changes
    find "$new" -type f -printf '%s\n' | awk '{ bytes += $1 } END { print bytes + 0 }'
    for peer in "${peers[@]}"; do
        least "$peer"
    done
}

printf 'series\tfrom\tto\tchanged\tnew_bytes'
printf '\t%s' "${peers[@]}" gmcf
echo
while IFS=$'\t' read -r name _; do
    if [ $# -gt 0 ] && [[ " $* " != *" $name "* ]]; then
        continue
    fi
    old=
    for new in "$out/$name"/*; do
        if [ -n "$old" ]; then
            from=${old##*/} to=${new##*/}
            key=$name$'\t'${from#*-}$'\t'${to#*-}
            if [ -n "$kept" ]; then
                row=$(grep -F -e "$key"$'\t' "$kept" | cut -f "1-$((5 + ${#peers[@]}))")
            else
                row=$key$'\t'$(measure | paste -s)
            fi
            row+=$'\t'$(gmcf_wire "$old" "$new")
            echo "$row"
        fi
        old=$new
    done
done < <(series)
