"""Files of pretrained weights: which there are, where they lie, how they are read, and what of them fitted."""
