"""The bundle format: manifest, container, golden vectors, reading and writing."""
