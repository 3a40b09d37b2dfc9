"""A recipe in, weights out: data order, losses, steps, checkpoints, validation."""
