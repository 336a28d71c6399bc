"""Tests of medcls.scans."""
