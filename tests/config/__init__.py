"""Tests of medcls.config."""
