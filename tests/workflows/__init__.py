"""Tests of medcls.workflows."""
