"""Idempotent jobs: executed once, in this process, in worker processes or on a cluster, and skipped when finished."""
