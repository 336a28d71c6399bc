"""Recipes: the steps from a scan to the input of a network, built from a config and read from JSON."""
