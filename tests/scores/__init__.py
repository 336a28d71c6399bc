"""Tests of medcls.scores."""
