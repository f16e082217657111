"""From times of queries to percentiles, intervals, early stopping, drift."""
