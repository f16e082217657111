"""Small complete device apps, the starter bundle and a few real photos."""
