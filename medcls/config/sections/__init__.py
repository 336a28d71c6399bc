"""The sections of a config file, one to a module."""
