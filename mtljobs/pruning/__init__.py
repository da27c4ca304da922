"""Which weights go: one file per method, and the two cuts, physical (`surgery`) and by `masks`."""
