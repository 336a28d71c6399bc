"""Tests of medcls.loading."""
