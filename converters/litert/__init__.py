"""Compile a tower to a LiteRT file."""
