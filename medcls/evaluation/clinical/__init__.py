"""Clinical utility: predictive values at stated prevalences, the decision curve, and selective prediction."""
