"""Import models from the frameworks that trained them and write bundles, on a workstation."""
