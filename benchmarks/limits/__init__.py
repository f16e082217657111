"""What the device can do at most, what a model asks for, and where its time goes."""
