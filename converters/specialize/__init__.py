"""Freeze a vocabulary into a bundle: an image tower and a matrix."""
