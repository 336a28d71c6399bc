"""The values that many rooms speak of: which labels there are, and what a reader must know before believing a metric."""
