"""Quantize a tower's float graph: groups of weights, ways to store and compute them, and the choice among those."""
