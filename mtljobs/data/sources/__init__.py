"""The files of published data sets as people have them: one file per layout."""
