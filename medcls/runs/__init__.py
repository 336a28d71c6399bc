"""Runs: the folder of everything about one training, and the verbs that make and use it."""
