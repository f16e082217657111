"""Passes over ONNX graphs, each a function from model to model."""
