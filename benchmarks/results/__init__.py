"""What a benchmark run found: one JSON file per run, read and written by typed records."""
