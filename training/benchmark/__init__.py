"""The benchmark: the default recipe on a data set that anybody brings, scored so that anybody can recompute it."""
