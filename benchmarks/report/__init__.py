"""A result for people: HTML, Markdown, CSV, the terminal."""
