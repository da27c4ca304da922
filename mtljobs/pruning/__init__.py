"""Which weights go: one file per method, and the physical cut that they share (`surgery`)."""
