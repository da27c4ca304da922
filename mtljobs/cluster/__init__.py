"""Where a run's shards run: states from the files alone, executors, the driver of this machine."""
