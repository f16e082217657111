"""Methods of quantization compared: size, latency, fidelity and the task, in one run."""
