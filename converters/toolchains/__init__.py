"""Vendors' tools in locked environments of their own, each driven by files, so that a crash is one clear error."""
