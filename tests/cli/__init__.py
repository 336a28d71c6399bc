"""Tests of medcls.cli."""
