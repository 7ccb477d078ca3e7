#!/bin/sh
# Writes .env, which docker-compose.yml takes its secrets from: random, readable by you alone, kept if it is there.
set -eu
cd "$(dirname "$0")/.."
[ ! -e .env ] || { echo "secrets: .env is there; nothing done"; exit 0; }
umask 077
password=$("${PYTHON:-python3}" -c 'import secrets; print(secrets.token_urlsafe(32))')
printf 'POSTGRES_PASSWORD=%s\n' "$password" > .env
echo "secrets: wrote .env; keep it, and keep it out of git"
