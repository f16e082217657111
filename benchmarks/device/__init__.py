"""The device a run is made on, and its state."""
