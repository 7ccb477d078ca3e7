"""Stages: what a flow's step does on the lake. Each has tasks that run on Dask workers and one commit at the end.

A stage is incremental: it compares the versions of its inputs with those its last result was made from.
Workers open the installation themselves, read what their task names, and hand back parts (files not yet
committed); the stage commits them in one transaction a table.
"""
