"""open_clip's own text towers in a form that accepts texts shorter than the context."""

from __future__ import annotations

from typing import Any

import torch


class ImageEncoder(torch.nn.Module):
    """An open_clip model's image side as a module: normalized pixels to embeddings."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.visual = model.visual

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map float32 (N, 3, H, W) to float32 (N, D), not normalized."""
        output = self.visual(images)
        # Towers that also feed a caption decoder (CoCa) return (embedding, tokens).
        embedding: torch.Tensor = output[0] if isinstance(output, tuple) else output
        return embedding


class TextEncoder(torch.nn.Module):
    """An open_clip model's text side, as the model itself computes it."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """Map int64 (N, L) to float32 (N, D), not normalized."""
        embedding: torch.Tensor = self.model.encode_text(ids, normalize=False)
        return embedding


class SlicedTextEncoder(torch.nn.Module):
    """The same computation with position table and causal mask cut to the length that is given.

    open_clip adds its whole position table and its whole causal mask, and so only takes full-length texts.
    """

    positional_embedding: torch.Tensor
    mask: torch.Tensor | None

    def __init__(self, model: Any) -> None:
        super().__init__()
        text = getattr(model, "text", model)
        self.token_embedding = text.token_embedding
        self.positional_embedding = text.positional_embedding
        self.transformer = text.transformer
        self.ln_final = text.ln_final
        self.text_projection = text.text_projection
        self.register_buffer("mask", text.attn_mask, persistent=False)
        # `CLIP` carries its text tower's parts itself, under other names.
        self.pool_type = text.text_pool_type if text is model else text.pool_type
        self.eos_id = text.text_eos_id if text is model else text.eos_id

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """Map int64 (N, L) to float32 (N, D), not normalized, for any L up to the context length."""
        from open_clip.transformer import text_global_pool

        length = ids.shape[1]
        x = self.token_embedding(ids) + self.positional_embedding[:length]
        mask = None if self.mask is None else self.mask[:length, :length]
        x = self.ln_final(self.transformer(x, attn_mask=mask))
        pooled: torch.Tensor = text_global_pool(x, ids, self.pool_type, eos_token_id=self.eos_id)
        if self.text_projection is None:
            return pooled
        if isinstance(self.text_projection, torch.nn.Linear):
            projected: torch.Tensor = self.text_projection(pooled)
            return projected
        unbiased: torch.Tensor = pooled @ self.text_projection
        return unbiased


def sliced(model: Any) -> torch.nn.Module | None:
    """Return a text encoder that takes shorter texts, or None where the model's own already does or cannot.

    Towers of transformers take any length by themselves. A class token appended after the text, or a padding
    mask, ties the result to the padded length, so these keep the model's own computation.
    """
    text = getattr(model, "text", model)
    if not hasattr(text, "positional_embedding") or not hasattr(text, "attn_mask"):
        return None
    if getattr(text, "cls_emb", None) is not None or getattr(text, "use_pad_mask", False):
        return None
    return SlicedTextEncoder(model)


def text_part(model: Any) -> torch.nn.Module:
    """Return the module that holds the text side's weights and nothing else."""
    text = getattr(model, "text", None)
    return text if isinstance(text, torch.nn.Module) else SlicedTextEncoder(model)
