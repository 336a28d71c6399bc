"""From prepared cases to a classifier."""
