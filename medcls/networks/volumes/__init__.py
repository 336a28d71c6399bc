"""Volumes through 2-D networks: one network over the slices, and what joins them."""
