"""What a shard does: one file per stage, each with `run(work)`; the only room that knows all."""
