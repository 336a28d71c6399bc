"""Tests of medcls.explanation."""
