"""The order of work: Prefect flows, deployments and schedules."""
