#!/bin/sh
# Builds the product's images with the engine that is there: docker, podman, or Debian's buildah.
#
#   infra/image.sh [TARGET …]        (make image) api and worker when none is named
#
# BASE names the image to build on. Where it is not set and no registry of images is reached, buildah builds on a
# Debian of its own making (debootstrap, as root, from DEBIAN_MIRROR if that is set). STORAGE is a folder for buildah's
# images, instead of the machine's.
set -eu
cd "$(dirname "$0")/.."
version=$(sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)
pinned=$(sed -n 's/^ARG BASE=//p' infra/Dockerfile)
made=localhost/onefold-base:bookworm
ca=${SSL_CERT_FILE:-/etc/ssl/certs/ca-certificates.crt}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

say() { printf 'image: %s\n' "$*" >&2; }
fail() { say "$*"; exit 1; }

engine() {
  for name in docker podman buildah; do
    command -v "$name" >/dev/null || continue
    [ "$name" = buildah ] || "$name" info >/dev/null 2>&1 || continue
    echo "$name"
    return
  done
  fail "no engine here: docker, podman or buildah (Debian: apt install buildah)"
}

images() { # buildah, on its storage
  if [ -n "${STORAGE:-}" ]; then
    buildah --root "$STORAGE/images" --runroot "$STORAGE/run" --storage-driver "${STORAGE_DRIVER:-overlay}" "$@"
  else
    buildah "$@"
  fi
}

hand_in() { # what this machine's pip is told, for pip and uv inside: an index, proxies, and whom to trust
  index=${UV_DEFAULT_INDEX:-${PIP_INDEX_URL:-$("${PYTHON:-python3}" -m pip config get global.index-url 2>/dev/null || true)}}
  (
    umask 077
    [ -z "$index" ] || printf "export PIP_INDEX_URL='%s' UV_DEFAULT_INDEX='%s'\n" "$index" "$index"
    for name in HTTP_PROXY HTTPS_PROXY NO_PROXY http_proxy https_proxy no_proxy; do
      value=$(printenv "$name" || true)
      [ -z "$value" ] || printf "export %s='%s'\n" "$name" "$value"
    done
    [ ! -r "$ca" ] || printf 'export PIP_CERT=/run/secrets/ca SSL_CERT_FILE=/run/secrets/ca\n'
  ) > "$work/packages"
  if [ -r "$ca" ]; then cp "$ca" "$work/ca"; else : > "$work/ca"; fi
}

debian() { # a base for buildah out of Debian's packages
  [ -z "$(images images --quiet "$made" 2>/dev/null)" ] || return 0
  command -v debootstrap >/dev/null || fail "no registry is reached, and no debootstrap is here (Debian: apt install debootstrap)"
  [ "$(id -u)" = 0 ] || fail "no registry is reached, and only root can make a base by debootstrap"
  say "no registry is reached: making $made by debootstrap"
  debootstrap --variant=minbase --include=python3,python3-venv,ca-certificates bookworm "$work/base" ${DEBIAN_MIRROR:-} >"$work/log" 2>&1 ||
    { tail -n 5 "$work/log" >&2; fail "debootstrap failed"; }
  rm -rf "$work/base/var/cache/apt/"* "$work/base/var/lib/apt/lists/"*
  container=$(images from scratch)
  images add --quiet "$container" "$work/base" / >/dev/null
  images commit --quiet --rm "$container" "$made" >/dev/null
  rm -rf "$work/base"
}

engine=$(engine)
hand_in
if [ "$engine" = buildah ] && [ -z "${BASE:-}" ] && ! images pull --quiet "docker.io/library/$pinned" >/dev/null 2>&1; then
  debian
  BASE=$made
fi
for target in ${*:-api worker}; do
  name=onefold-$target:$version
  say "building $name with $engine on ${BASE:-$pinned}"
  set -- --file infra/Dockerfile --target "$target" --tag "$name" --build-arg "BASE=${BASE:-$pinned}" \
    --secret "id=packages,src=$work/packages" --secret "id=ca,src=$work/ca"
  case $engine in
    docker) DOCKER_BUILDKIT=1 docker build --quiet "$@" . ;;
    podman) podman build --format docker "$@" . ;;
    # Without privileges of its own in a sandbox, so without namespaces; the shell that the file asks for is Docker's.
    buildah) images build --format docker --isolation "${BUILDAH_ISOLATION:-chroot}" --layers "$@" . ;;
  esac
done
