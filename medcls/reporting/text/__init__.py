"""Numbers, labels and decisions in words."""
