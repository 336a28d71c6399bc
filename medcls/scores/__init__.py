"""Scores: evaluation and comparison of tables of scores, without a model; torch is never imported."""
