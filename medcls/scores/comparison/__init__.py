"""Comparison of several models on the same cases."""
