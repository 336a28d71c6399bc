"""Thresholds: how probabilities become decisions, and how decisions are counted."""
