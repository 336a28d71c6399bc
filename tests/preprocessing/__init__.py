"""Tests of medcls.preprocessing."""
