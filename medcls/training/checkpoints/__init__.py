"""Checkpoints as files without pickle."""
