"""Evaluate a bundle on the user's own data: zero-shot classification and retrieval."""
