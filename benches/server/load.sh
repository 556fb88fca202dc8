#!/usr/bin/env bash
# Requests a second for a delta that `gmcf serve` has in memory, beside nginx with the same bytes in a file, on this machine
# and in one run; and what the server's memory does meanwhile.
#
#     ./load.sh [SECONDS] [ROUNDS]     seconds of each measurement (8), rounds (5), of which the medians count
#
# Both have the same number of threads, answer over connections that stay open, and write no access log. The two are measured
# in turn. Exit status 77: something is missing without which nothing can be measured.
set -euo pipefail
cd "$(dirname "$0")"
# shellcheck source-path=SCRIPTDIR source=../../firmware-demo/common.sh
. ../../firmware-demo/common.sh

seconds=${1:-8} rounds=${2:-5} connections=32
root=$(realpath ../..)
data=$root/tests/data/dev
PATH=$PATH:/usr/sbin

ensure_packages "command -v nginx && command -v wrk && command -v curl" nginx-light wrk curl || exit "$SKIPPED"
if [ -z "${GMCF:-}" ]; then
    (cd "$root" && cargo build --release --locked -p host-trainer)
    GMCF=$(cd "$root" && realpath "${CARGO_TARGET_DIR:-target}")/release/gmcf
fi

work=$(mktemp -d)
server='' nginx=''
stop() {
    for pid in $server $nginx; do
        kill "$pid" 2>/dev/null || true
    done
    wait 2>/dev/null || true
    rm -rf "$work"
}
trap stop EXIT

# A server with two versions of one image.
"$GMCF" serve --store "$work/store" --listen 127.0.0.1:0 >"$work/address" 2>"$work/server.log" &
server=$!
for _ in $(seq 100); do
    [ ! -s "$work/address" ] || break
    sleep 0.05
done
url=$(grep -o 'http://[0-9.:]*' "$work/address")
GMCF_TOKEN=$("$GMCF" token new --store "$work/store" --label load)
for version in 2021.2.1 2024.0.0; do
    curl -fsS -o /dev/null -T "$data/fw-greatfet/$version.bin" -H "Authorization: Bearer $GMCF_TOKEN" \
        -H 'Content-Type: application/octet-stream' "$url/names/greatfet/versions/$version"
done

# The same bytes from nginx: a delta of some KB, and the whole image as a container of some 50 KB.
mkdir -p "$work/files" "$work/temp"
# nginx reads them as another user, where root starts it.
chmod 755 "$work" "$work/files"
declare -A query=([delta]="name=greatfet&from=2021.2.1&to=2024.0.0" [whole]="name=greatfet&to=2024.0.0")
for what in delta whole; do
    curl -fsS -o "$work/files/$what" "$url/delta/between?${query[$what]}"
done
cat >"$work/nginx.conf" <<END
daemon off;
worker_processes $(nproc);
pid $work/nginx.pid;
error_log $work/nginx.log;
events { worker_connections 1024; }
http {
    access_log off;
    sendfile on;
    tcp_nopush on;
    tcp_nodelay on;
    keepalive_requests 100000000;
    open_file_cache max=100 inactive=1h;
    default_type application/vnd.gmcf;
    client_body_temp_path $work/temp; proxy_temp_path $work/temp; fastcgi_temp_path $work/temp;
    uwsgi_temp_path $work/temp; scgi_temp_path $work/temp;
    server {
        listen 127.0.0.1:8081;
        root $work/files;
        location / { expires 1y; }
    }
}
END
nginx -c "$work/nginx.conf" &
nginx=$!
sleep 0.5

# rate URL: requests a second; fails where an answer was not the right one.
rate() {
    local report
    report=$(wrk -t 1 -c "$connections" -d "${seconds}s" "$1")
    if grep -q 'Non-2xx\|Socket errors' <<<"$report"; then
        echo "$report" >&2
        return 1
    fi
    awk '/Requests\/sec/ {print $2}' <<<"$report"
}
median() { sort -g | awk '{v[NR] = $1} END {print v[int((NR + 1) / 2)]}'; }
memory() { awk '/VmRSS/ {print $2}' "/proc/$server/status"; }

for what in delta whole; do
    : >"$work/ours" && : >"$work/theirs" && : >"$work/memory"
    for _ in $(seq "$rounds"); do
        rate "$url/delta/between?${query[$what]}" >>"$work/ours"
        memory >>"$work/memory"
        rate "http://127.0.0.1:8081/$what" >>"$work/theirs"
    done
    ours=$(median <"$work/ours") theirs=$(median <"$work/theirs")
    awk -v what="$what" -v bytes="$(stat -c %s "$work/files/$what")" -v ours="$ours" -v theirs="$theirs" \
        -v first="$(head -n 1 "$work/memory")" -v last="$(tail -n 1 "$work/memory")" 'BEGIN {
        printf "%s, %d bytes: gmcf %.0f requests/s, nginx %.0f, ratio %.2f; memory %d KiB after the first round, %d after the last\n",
            what, bytes, ours, theirs, ours / theirs, first, last
    }'
done
