"""Networks: one file per architecture, and what one counts in them (`complexity`)."""
