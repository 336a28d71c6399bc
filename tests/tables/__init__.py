"""Tests of medcls.tables."""
