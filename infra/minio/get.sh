#!/bin/sh
# Puts the MinIO server and its client into .tools/minio: infra/minio/get.sh (make minio)
#
# Taken from PATH; else out of the image of docker-compose.yml, where a Docker engine runs; else built by the Go
# client from the pinned last commit of each, which takes some minutes once. Nothing is done when they are there.
set -eu
cd "$(dirname "$0")/../.."
server=github.com/minio/minio@v0.0.0-20260212201848-7aac2a2c5b7c
client=github.com/minio/mc@v0.0.0-20251106162529-77f82e18b540
image=onefold-minio:2026-02-12
goes_with=go1.24.8
folder=$PWD/.tools/minio

say() { printf 'minio: %s\n' "$*" >&2; }

is_minio() { # whether the program answers as the one that is meant; mc may also be Midnight Commander
  "$1" --version 2>/dev/null | grep -q 'MinIO'
}

take_from_path() {
  minio=$(command -v minio) && mc=$(command -v mc) && is_minio "$minio" && is_minio "$mc" || return 1
  ln -sf "$minio" "$draft/minio"
  ln -sf "$mc" "$draft/mc"
  say "from PATH: $minio and $mc"
}

take_from_docker() {
  command -v docker >/dev/null && docker info >/dev/null 2>&1 || return 1
  docker image inspect "$image" >/dev/null 2>&1 || {
    say "building the image $image"
    docker build -q -t "$image" -f infra/minio/Dockerfile . >/dev/null || return 1
  }
  made=$(docker create "$image") || return 1
  for name in minio mc; do
    docker cp -q "$made:/usr/local/bin/$name" "$draft/$name" || { docker rm "$made" >/dev/null; return 1; }
  done
  docker rm "$made" >/dev/null
  is_minio "$draft/minio" && is_minio "$draft/mc" || return 1
  say "from the image $image"
}

build() { # by the Go at hand, else by the one that the modules were made for, which a newer client fetches itself
  say "building ${1%@*} with $(go env GOVERSION); minutes, the first time"
  log=$draft/log
  for toolchain in "${GOTOOLCHAIN:-}" "$goes_with"; do
    if (
      [ -z "$toolchain" ] || export GOTOOLCHAIN="$toolchain"
      CGO_ENABLED=0 GOBIN="$draft" GOOS='' GOARCH='' go install -trimpath "$1"
    ) >"$log" 2>&1; then return 0; fi
  done
  tail -n 5 "$log" >&2
  return 1
}

take_from_go() {
  command -v go >/dev/null && build "$server" && build "$client" || return 1
  rm -f "$draft/log"
}

pins="$server $client"
if [ -x "$folder/minio" ] && [ -x "$folder/mc" ] && [ "$(cat "$folder/pins" 2>/dev/null)" = "$pins" ]; then exit 0; fi
mkdir -p "$folder"
draft=$(mktemp -d "$folder/draft.XXXXXX")
trap 'rm -rf "$draft"' EXIT
trap 'exit 130' INT TERM

if take_from_path || take_from_docker || take_from_go; then
  mv -f "$draft/minio" "$draft/mc" "$folder/"
  printf '%s' "$pins" >"$folder/pins"
  say "$("$folder/minio" --version | head -n 1), in .tools/minio"
else
  say "none to be had: put minio and mc on the PATH, run a Docker engine, or install Go >= 1.24 (found $(go version 2>/dev/null | cut -d' ' -f3 | grep . || echo none))"
  exit 1
fi
