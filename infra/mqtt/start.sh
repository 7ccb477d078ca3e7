#!/bin/sh
# Starts the broker with the users of the environment. Their passwords are hashed in a file of its own volume, and
# stand on no command line.
set -eu
umask 077
printf 'onefold:%s\nsource:%s\n' "$MQTT_PASSWORD" "$MQTT_SOURCE_PASSWORD" > /mosquitto/data/passwords
mosquitto_passwd -U /mosquitto/data/passwords
printf -- '-h 127.0.0.1\n-u onefold\n-P %s\n' "$MQTT_PASSWORD" > /mosquitto/data/mosquitto_sub
exec mosquitto -c /mosquitto/config/mosquitto.conf
