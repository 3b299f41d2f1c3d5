# What ./run and ./test share: Python, system packages, the virtual environment. Sourced by sh from the root.

say() { printf '%s\n' "$*" >&2; }

fail() { say "$@"; exit 1; }

# Find Python 3.11 to 3.13; sets $python.
need_python() {
    for python in "${PYTHON:-python3}" python3.13 python3.12 python3.11; do
        if "$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; then
            return
        fi
    done
    fail "Aside needs Python 3.11, 3.12 or 3.13. On Debian or Ubuntu: sudo apt-get install python3 python3-venv" \
        "Another one is chosen with: PYTHON=/path/to/python3.12 $0"
}

# Install the Debian packages that are missing, showing the command first.
need_packages() {
    command -v dpkg-query >/dev/null || return 0 # not Debian: `aside doctor` tells what is missing
    missing=""
    for package in "$@"; do
        state=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
        [ "$state" = installed ] || missing="$missing $package"
    done
    # Debian keeps ensurepip, which makes virtual environments, in a package of its own.
    if [ ! -x .venv/bin/python ] && ! "$python" -c 'import ensurepip' 2>/dev/null; then
        missing="$missing $("$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')"
    fi
    [ -n "$missing" ] || return 0
    install="apt-get install -y --no-install-recommends$missing"
    if [ "$(id -u)" = 0 ]; then
        sudo=""
    elif command -v sudo >/dev/null && { [ -t 0 ] || sudo -n true 2>/dev/null; }; then
        sudo="sudo "
    else
        fail "These system packages are missing. Install them and start again:" "  sudo $install"
    fi
    say "Installing system packages: $sudo$install"
    # shellcheck disable=SC2086 # words
    DEBIAN_FRONTEND=noninteractive $sudo apt-get update -qq </dev/null >&2 ||
        say "The lists of packages could not be brought up to date; going on with the old ones."
    # shellcheck disable=SC2086 # words
    DEBIAN_FRONTEND=noninteractive ${sudo}$install -qq </dev/null >&2 ||
        fail "That did not work. Install them by hand and start again:" "  sudo $install"
}

# Bring .venv to the versions of a lock file and the project itself. A stamp makes the second time quick.
# $1: lock file. An environment with more in it is left as it is.
need_environment() {
    # A virtual environment does not survive a move of its folder.
    [ "$(cat .venv/aside-folder 2>/dev/null || pwd)" = "$(pwd)" ] || rm -rf .venv
    wanted=$(cat "$1" pyproject.toml | cksum)
    stamp=".venv/aside-$(basename "$1" .txt).stamp"
    if [ -x .venv/bin/aside ] && [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ]; then return; fi
    if ! .venv/bin/python -m pip --version >/dev/null 2>&1; then
        say "Making the virtual environment .venv"
        "$python" -m venv --clear .venv
    fi
    pwd >.venv/aside-folder
    say "Installing the locked versions of $1 (the first time, this takes some minutes)"
    log=.venv/aside-install.log
    pip="-m pip install --disable-pip-version-check --no-input"
    # shellcheck disable=SC2086 # words
    { .venv/bin/python $pip -r "$1" &&
        .venv/bin/python $pip --no-deps --no-build-isolation --editable .; } >"$log" 2>&1 </dev/null || {
        tail -n 20 "$log" >&2
        fail "The packages could not be installed; all of the output is in $PWD/$log"
    }
    printf '%s' "$wanted" >"$stamp"
}
