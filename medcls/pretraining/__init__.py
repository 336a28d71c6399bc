"""Self-supervised pretraining: what a network learns of images without labels, and the loop that teaches it."""
