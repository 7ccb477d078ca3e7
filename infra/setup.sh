#!/bin/sh
# Lays the virtual environment that everything else uses: infra/setup.sh run|dev
#
# run: what the product needs (requirements.txt).  dev: the tools and peers of `make test` as well.
# Needs Python >= 3.11 and a package index. uv, which installs from the locks in seconds where pip needs
# minutes, is taken from PATH or bootstrapped from pip into .tools. Nothing is done when the stamp is newer
# than the locks.
set -eu
cd "$(dirname "$0")/.."
kind=${1:-dev}
python=${PYTHON:-python3}
build=requirements-build.txt
case $kind in
  run) lock=requirements.txt ;;
  dev) lock=requirements-dev.txt ;;
  *) echo "usage: infra/setup.sh run|dev" >&2; exit 2 ;;
esac

say() { printf 'setup: %s\n' "$*" >&2; }
fail() { say "$*"; exit 1; }

up_to_date() { # the stamp of this kind, or of dev which holds all of run
  for stamp in ".venv/.setup-$kind" .venv/.setup-dev; do
    [ -x .venv/bin/onefold ] && [ -f "$stamp" ] || continue
    [ -z "$(find "$lock" "$build" pyproject.toml -newer "$stamp")" ] && return 0
  done
  return 1
}

check_system() { # one line for everything that is missing
  command -v "$python" >/dev/null || fail "Python >= 3.11 is needed; found no $python (name another with PYTHON=...)"
  missing=$("$python" - "$1" <<'PY'
import importlib.util, sys
lacks = []
if sys.version_info < (3, 11):
    lacks.append("Python >= 3.11 (found " + sys.version.split()[0] + "; name another with PYTHON=...)")
for module, what in [("ssl", "Python's ssl module"), ("sqlite3", "Python's sqlite3 module")]:
    if importlib.util.find_spec(module) is None:
        lacks.append(what)
if sys.argv[1] == "pip" and importlib.util.find_spec("ensurepip") is None:
    lacks.append("Python's venv module (Debian: apt install python3-venv) or uv on the PATH")
if not lacks:
    import sqlite3
    if sqlite3.sqlite_version_info < (3, 35):
        lacks.append("SQLite >= 3.35 (found " + sqlite3.sqlite_version + ")")
    if not any("FTS5" in row[0] for row in sqlite3.connect(":memory:").execute("pragma compile_options")):
        lacks.append("SQLite with full-text search (FTS5)")
print("; ".join(lacks))
PY
  ) || fail "$python does not run"
  [ -z "$missing" ] || fail "this machine lacks: $missing"
}

if up_to_date; then exit 0; fi

if [ -n "${UV:-}" ]; then uv=$UV
elif uv=$(command -v uv); then :
else uv=.tools/uv/bin/uv; fi
if [ "$uv" = .tools/uv/bin/uv ]; then check_system pip; else check_system uv; fi

# uv does not read pip's configuration: hand it the index that the user chose for pip.
if [ -z "${UV_DEFAULT_INDEX:-}" ]; then
  index=${PIP_INDEX_URL:-$("$python" -m pip config get global.index-url 2>/dev/null || true)}
  [ -z "$index" ] || export UV_DEFAULT_INDEX="$index"
fi
export UV_NO_PROGRESS=1 UV_PYTHON_DOWNLOADS=never

if [ "$uv" = .tools/uv/bin/uv ] && ! { [ -x "$uv" ] && [ .tools/uv/.stamp -nt "$build" ]; }; then
  say "bootstrapping uv from pip into .tools"
  "$python" -m venv --clear .tools/uv
  .tools/uv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r "$build"
  touch .tools/uv/.stamp
fi

[ -x .venv/bin/python ] || "$uv" venv --quiet --python "$python" .venv
say "installing $lock into .venv"
# The stamp is taken before the work, so that a lock that changes meanwhile counts as newer.
touch .venv/.setup-new
"$uv" pip install --quiet --python .venv/bin/python --require-hashes -r "$lock"
"$uv" pip install --quiet --python .venv/bin/python --no-deps --build-constraints "$build" --editable .
# Bytecode only: must not write into a home, nor tell anybody that Prefect is used here for the first time.
env -u PYTHONDONTWRITEBYTECODE DO_NOT_TRACK=1 PREFECT_HOME="$PWD/.venv/share/prefect" .venv/bin/python infra/bytecode.py ||
  say "some packages do not import; what follows will say more"
mv .venv/.setup-new ".venv/.setup-$kind"
