"""What shall run: grid files, data sets, recipes, identities, shards, the frozen plan."""
