"""Tests of medcls.training."""
