"""What a student sees: images under stored augmentations, texts, and what the teachers said of each."""
