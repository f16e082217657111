"""Measurements of edgekit, as ratios against named peers in one interleaved run."""
