"""The thinking: functions from tables to tables."""
