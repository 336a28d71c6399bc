"""Distribution shift: how far a cohort, or one scan, is from those of the training."""
