"""Tests of medcls.classifier."""
