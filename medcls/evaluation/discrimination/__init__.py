"""Discrimination: how well scores rank cases with a label above cases without it."""
