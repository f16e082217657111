"""Compile a bundle's towers for chips: one file per family, each proven by its simulator before it is packed."""
