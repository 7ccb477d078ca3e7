#!/bin/sh
# An environment of its own for a peer that benchmarks run beside ours: infra/peer.sh NAME REQUIREMENTS
#
# Peers need what the product cannot have beside itself (Splink an older DuckDB), so they live in .tools/NAME.
set -eu
cd "$(dirname "$0")/.."
name=$1 lock=$2 place=.tools/$1
[ -f "$place/.stamp" ] && [ "$place/.stamp" -nt "$lock" ] && exit 0
uv=${UV:-$(command -v uv || echo .tools/uv/bin/uv)} # as infra/setup.sh bootstraps it
if [ -z "${UV_DEFAULT_INDEX:-}" ]; then
  index=${PIP_INDEX_URL:-$(python3 -m pip config get global.index-url 2>/dev/null || true)}
  [ -z "$index" ] || export UV_DEFAULT_INDEX="$index"
fi
echo "setup: $name into $place" >&2
"$uv" venv --quiet --clear --python .venv/bin/python "$place"
"$uv" pip install --quiet --python "$place/bin/python" --require-hashes -r "$lock"
touch "$place/.stamp"
