"""Chips' simulators compared: edgekit's recipe beside the vendor tool's own default."""
