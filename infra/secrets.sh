#!/bin/sh
# Writes what docker-compose.yml needs as secrets into .env: random, readable by you alone. What stands there is
# kept; what is missing is added.
set -eu
cd "$(dirname "$0")/.."
umask 077
touch .env
chmod 600 .env
added=
for name in POSTGRES_PASSWORD MINIO_ROOT_USER MINIO_ROOT_PASSWORD ONEFOLD_S3_ACCESS_KEY ONEFOLD_S3_SECRET_KEY \
  MQTT_PASSWORD MQTT_SOURCE_PASSWORD; do
  ! grep -q "^$name=." .env || continue
  case $name in
    *_USER | *_ACCESS_KEY) words=10 ;; # names: MinIO takes 3 to 20 characters
    *) words=20 ;;                     # 160 bits; MinIO takes 8 to 40 characters
  esac
  value=$("${PYTHON:-python3}" -c "import secrets; print(secrets.token_hex($words))")
  # A last line without an end must not swallow the first new one.
  [ -z "$(tail -c 1 .env)" ] || echo >> .env
  printf '%s=%s\n' "$name" "$value" >> .env
  added="$added $name"
done
if [ -n "$added" ]; then
  echo "secrets: wrote$added into .env; keep it, and keep it out of git"
else
  echo "secrets: .env has them all; nothing done"
fi
