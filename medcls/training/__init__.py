"""Training: loss, optimiser, schedule, checkpoints, and the loop over epochs."""
