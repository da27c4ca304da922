"""How task losses are balanced: one file per method."""
