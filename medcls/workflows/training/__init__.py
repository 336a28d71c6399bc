"""Trainings: one on one partition, and those that are several: folds, ensembles, learning curves."""
