"""The training loop: batches by number, checkpoints that survive anything, one process or many."""
