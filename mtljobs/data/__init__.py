"""Images and their targets: one file per data set, and what data sets share."""
