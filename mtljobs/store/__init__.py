"""Where arrays are kept: the published format, and the backends that write it."""
