"""Tests of medcls.synthesis."""
