"""Comparison of two classifiers on the same cases: paired differences, tests, and their adjustment."""
