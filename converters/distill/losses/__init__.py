"""What a student is trained to match; one function each, with its source."""
