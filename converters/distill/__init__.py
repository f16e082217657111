"""Train a small student from a teacher, and write it as a bundle."""
