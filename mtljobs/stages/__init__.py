"""What a shard does: one file per stage, each with `run(work)`. The only room that knows all below."""
