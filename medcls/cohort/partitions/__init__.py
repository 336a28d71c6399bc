"""Partitions and folds, with every patient on one side."""
