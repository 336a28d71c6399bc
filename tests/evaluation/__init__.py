"""Tests of medcls.evaluation."""
