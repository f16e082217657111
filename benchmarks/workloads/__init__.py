"""What a query does: image tower, text tower, or a photo file to its label; stages timed apart."""
