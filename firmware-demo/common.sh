# shellcheck shell=bash
# Sourced by the scripts of this folder and by test.sh.

# What a script returns when it lacks something that it cannot install.
# shellcheck disable=SC2034
SKIPPED=77

# ensure_packages COMMAND PACKAGE...: installs Debian packages unless COMMAND succeeds; fails when that is not possible.
ensure_packages() {
    local probe=$1
    shift
    if eval "$probe" >/dev/null 2>&1; then
        return 0
    fi
    if [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; then
        echo "installing: $*" >&2
        apt-get update -qq >&2 || true
        if DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "$@" >&2 &&
            eval "$probe" >/dev/null 2>&1; then
            return 0
        fi
    fi
    echo "missing, and cannot be installed from here; as root on Debian: apt-get install $*" >&2
    return 1
}

# boards: prints the table of boards without its heading.
boards() {
    tail -n +2 "$(dirname "${BASH_SOURCE[0]}")/boards/BOARDS.tsv"
}
