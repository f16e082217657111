"""Architectures of students, and ways to change only a part of a tower."""
