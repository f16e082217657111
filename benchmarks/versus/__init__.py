"""Two things side by side in one interleaved run."""
