"""Searching folders for scans, and naming them."""
