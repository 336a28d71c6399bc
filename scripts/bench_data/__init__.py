"""Blocks that measure the data path: each beside the usual way and beside its floor, in one run."""
