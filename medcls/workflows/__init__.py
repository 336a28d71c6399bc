"""Workflows: the verbs, from data to reports."""
