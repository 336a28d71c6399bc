"""Tests of medcls.cohort."""
