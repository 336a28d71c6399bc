"""Tests of medcls.networks."""
