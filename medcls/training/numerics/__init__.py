"""Reduced precision, compiled networks and fused optimisers, taken only where they were seen to be right."""
