#!/bin/sh
# requirements*.txt from pyproject.toml. Further arguments go to `uv pip compile`, e.g. --upgrade.
set -eu

if ! uv=$(command -v uv); then
    venv=$(mktemp -d)
    trap 'rm -rf "$venv"' EXIT
    "${PYTHON:-python3}" -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check uv
    uv="$venv/bin/uv"
fi

compile() {
    echo "Locking $1"
    "$uv" pip compile --quiet --universal --python-version 3.11 --generate-hashes \
        --no-emit-index-url --no-emit-find-links --no-header --output-file "$@"
}

compile requirements.txt pyproject.toml "$@"
compile requirements-otel.txt --group otel --constraint requirements.txt "$@"
compile requirements-local.txt --group local --no-deps "$@"
compile requirements-dev.txt --group dev --constraint requirements.txt "$@"
