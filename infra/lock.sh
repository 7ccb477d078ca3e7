#!/bin/sh
# Makes the pinned requirements from pyproject.toml: exact versions with hashes, good on every platform and
# Python that the project supports, and no addresses. What stands in requirements.txt binds the other two.
set -eu
cd "$(dirname "$0")/.."
uv=$(command -v uv || echo .tools/uv/bin/uv)
[ -x "$uv" ] || { echo "lock: uv is neither on the PATH nor in .tools; run make setup first" >&2; exit 1; }

compile() { # output, arguments
  out=$1; shift
  "$uv" pip compile --quiet --universal --python-version 3.11 --generate-hashes --upgrade \
    --no-header --no-annotate --no-emit-index-url --no-emit-find-links "$@" -o "$out"
}

compile requirements.txt pyproject.toml --extra all
compile requirements-api.txt pyproject.toml --extra api --extra s3 --extra postgres -c requirements.txt
compile requirements-dev.txt pyproject.toml --extra dev -c requirements.txt
printf 'uv\nhatchling>=1.27\neditables\n' | compile requirements-build.txt -
if grep -nE 'https?://|^-' requirements*.txt; then
  echo "lock: the requirements above name an address" >&2; exit 1
fi
