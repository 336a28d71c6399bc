"""Sections of the report, one to a module."""
