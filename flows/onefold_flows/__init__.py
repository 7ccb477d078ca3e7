"""The order of work: Prefect flows, deployments and schedules.

Importing Prefect at a terminal sends an event to its makers, so every way into this floor first turns that off.
"""

from onefold_flows.settings import stay_quiet

stay_quiet()
