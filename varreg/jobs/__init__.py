"""Many jobs that are done once each: here, in processes or on a cluster, and not again when they are finished."""
