"""Tests of medcls.reporting."""
