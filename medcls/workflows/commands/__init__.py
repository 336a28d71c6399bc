"""Commands: one verb to a module."""
