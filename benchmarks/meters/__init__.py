"""Sensors of a device, one file each, behind one protocol."""
