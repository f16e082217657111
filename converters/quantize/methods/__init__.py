"""What a method does to a tower: groups of weights, ranges of activations, and the changed graph."""
