"""Subgroups: the metrics of each group of cases at the one global threshold, and the gaps between groups."""
