"""Measure what could open a bundle here, each in a child process, and remember the best."""
