"""Leakage: what ties cases of different partitions, and what else tells the label."""
