"""Runs on boards elsewhere, by SSH."""
