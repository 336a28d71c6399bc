"""Tests of medcls.runs."""
