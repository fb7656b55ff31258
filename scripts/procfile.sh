#!/bin/sh
# Becomes one process of the Procfile: scripts/procfile.sh web
set -eu
command=$(sed -n "s/^$1:[[:space:]]*//p" Procfile)
[ -n "$command" ] || {
    echo "Procfile names no process '$1'." >&2
    exit 2
}
eval "exec env $command"
