#!/bin/sh
# Makes the virtual environment of the Makefile: uv where it is installed, else venv and pip, always from the hashed lock file.
set -eu
: "${PYTHON:=python3}" "${VENV:=.venv}"

"$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
    echo "headhunter needs Python 3.11 or newer; $PYTHON is $("$PYTHON" --version 2>&1). Name another: make PYTHON=python3.12 ..." >&2
    exit 2
}
echo "Setting up $VENV from requirements.lock ..." >&2
if command -v uv >/dev/null 2>&1; then
    uv venv --quiet --allow-existing --python "$PYTHON" "$VENV"
    uv pip install --quiet --python "$VENV/bin/python" --require-hashes -r requirements.lock
    uv pip install --quiet --python "$VENV/bin/python" --no-deps --no-build-isolation -e .
    exit 0
fi
"$PYTHON" -c 'import ensurepip, venv' 2>/dev/null || {
    echo "This Python has no venv module. On Debian and Ubuntu: apt-get install python3-venv" >&2
    exit 2
}
"$PYTHON" -m venv "$VENV"
"$VENV/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
"$VENV/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
