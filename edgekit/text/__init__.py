"""Text to token ids, exactly as the checkpoint's own tokenizer does it."""

from __future__ import annotations

from edgekit.text.cleaning import clean
from edgekit.text.encoder import TextEncoder
from edgekit.text.prompts import fill_templates

__all__ = ["TextEncoder", "clean", "fill_templates"]
