"""Training: loss, optimiser, schedule, checkpoints, and the loop over epochs."""

LAST = "last.ckpt"  # the three files of a run's checkpoints
BEST = "best.ckpt"
FITTED = "fitted.json"  # written when training has come to its end, so that a resumed run does not train on
