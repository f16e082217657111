"""Image towers made of timm's parts: hybrids of convolution and attention, vision transformers, and any timm model."""

from __future__ import annotations

import copy
import difflib
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from edgekit.converters.distill.students.weights import put
from edgekit.converters.torch_compat import prepare
from edgekit.errors import InputError, UnsupportedModelError

if TYPE_CHECKING:
    from collections.abc import Mapping

HYBRID_WIDTH, HYBRID_STAGES = 48, (2, 2, 4, 2)
VIT_SIZES: Mapping[str, tuple[int, int, int]] = {"vit-tiny": (192, 12, 3), "vit-small": (384, 12, 6)}
"""Width, layers and heads of the vision transformers of Touvron et al. 2021 (DeiT, arXiv 2012.12877)."""

_DEPLOYERS = ("fuse", "reparameterize", "switch_to_deploy")
_HEAD_DIM = 32


class TrunkEncoder(nn.Module):
    """A timm model without its classifier, and a linear map."""

    def __init__(self, trunk: nn.Module, features: int, dimension: int) -> None:
        """Map `features` numbers of the trunk to `dimension`."""
        super().__init__()
        # The fused kernel leaves a dozen shape operators per block in a graph.
        for part in trunk.modules():
            if hasattr(part, "fused_attn"):
                part.fused_attn = False  # type: ignore[assignment]
        self.trunk = trunk
        self.head = nn.Linear(features, dimension)
        self.last = "head"

    def forward(self, planes: torch.Tensor) -> torch.Tensor:
        """Map float32 (N, 3, H, W) to float32 (N, D)."""
        rows: torch.Tensor = self.head(self.trunk(planes))
        return rows


def hybrid(width: int, layers: int, dimension: int) -> TrunkEncoder:
    """Make a hybrid as MobileCLIP's image towers are: three stages of convolutions, then one of attention.

    The stages are FastViT's (Vasu et al. 2023, arXiv 2303.14189): sums of parallel convolutions while it is trained,
    one convolution each afterwards; the arrangement is that of MobileCLIP (arXiv 2311.17049).

    Args:
        width: channels of the first stage, a multiple of 4; the others have 2, 4 and 8 times as many.
        layers: blocks of all four stages together; 10 is 2, 2, 4, 2, and what is more goes to the third.
        dimension: D.

    Returns:
        The encoder.
    """
    prepare()
    from timm.models.fastvit import FastVit, RepConditionalPosEnc

    first, second, third, last = HYBRID_STAGES
    trunk = FastVit(
        layers=(first, second, third + layers - sum(HYBRID_STAGES), last),
        token_mixers=("repmixer", "repmixer", "repmixer", "attention"),
        embed_dims=(width, 2 * width, 4 * width, 8 * width),
        mlp_ratios=(3, 3, 3, 3),
        pos_embs=(None, None, None, partial(RepConditionalPosEnc, spatial_shape=(7, 7))),
        # FastViT's 1e-5 is meant for hundreds of epochs; a short training would hardly use the branches.
        layer_scale_init_value=1e-1,
        num_classes=0,
    )
    return TrunkEncoder(trunk, int(trunk.num_features), dimension)


def vit(size: tuple[int, int], patch: int, width: int, layers: int, heads: int, dimension: int) -> TrunkEncoder:
    """Make a vision transformer (Dosovitskiy et al. 2021, arXiv 2010.11929) that averages over its tokens.

    Args:
        size: height and width of the input in pixels, multiples of `patch`.
        patch: side of a patch in pixels.
        width: channels of a token.
        layers: blocks.
        heads: attention heads; divides `width`.
        dimension: D.

    Returns:
        The encoder.
    """
    prepare()
    from timm.models.vision_transformer import VisionTransformer

    trunk = VisionTransformer(
        img_size=size,
        patch_size=patch,
        embed_dim=width,
        depth=layers,
        num_heads=heads,
        num_classes=0,
        class_token=False,
        global_pool="avg",
    )
    return TrunkEncoder(trunk, width, dimension)


def timm_model(name: str, size: tuple[int, int], dimension: int) -> TrunkEncoder:
    """Make any model of timm, with random weights.

    Args:
        name: timm's.
        size: height and width of the input in pixels.
        dimension: D.

    Returns:
        The encoder.

    Raises:
        InputError: timm has no such model, or it does not take the size.
        UnsupportedModelError: timm cannot build it, or it gives no vector for an image.
    """
    prepare()
    import timm

    known(name)
    fixed = bool(timm_settings(name).get("fixed_input_size"))
    try:
        # Only models of a fixed size take it as an argument, and only they need it.
        trunk: Any = (
            timm.create_model(name, num_classes=0, img_size=size) if fixed else timm.create_model(name, num_classes=0)
        )
        with torch.no_grad():
            features = copy.deepcopy(trunk).eval()(torch.zeros(1, 3, *size))
    except (RuntimeError, ValueError, TypeError, AssertionError) as error:
        raise InputError(
            f"student.image.arch timm:{name}: does not take pictures of {size[0]} x {size[1]} pixels ({error}); give "
            f"student.image.size"
        ) from error
    if features.ndim != 2:
        raise UnsupportedModelError(f"timm:{name}: gives {tuple(features.shape)} for an image, not one vector")
    return TrunkEncoder(trunk, int(features.shape[1]), dimension)


def load_trunk(encoder: TrunkEncoder, state: dict[str, torch.Tensor], where: str) -> None:
    """Fill a timm model with weights in timm's own names; those of its classifier are left out.

    Args:
        encoder: whose trunk is filled.
        state: weights by name.
        where: the file, for messages.

    Raises:
        InputError: weights are missing, unknown or of another shape.
    """
    classifier = encoder.trunk.pretrained_cfg.get("classifier") or ()  # type: ignore[union-attr, operator]
    left_out = (classifier,) if isinstance(classifier, str) else tuple(classifier)
    prefixes = tuple(f"{name}." for name in left_out)
    own = encoder.trunk.state_dict()
    kept = {name: value for name, value in state.items() if name in own or not name.startswith(prefixes)}
    put(encoder.trunk, kept, where)


def known(name: str) -> None:
    """Refuse a name that timm does not have.

    Args:
        name: of a model.

    Raises:
        InputError: there is none; the message has close names.
    """
    prepare()
    import timm

    if not timm.is_model(name):
        close = difflib.get_close_matches(name.partition(".")[0], timm.list_models(), n=3, cutoff=0.4)
        hint = f"; close: {', '.join(close)}" if close else ""
        raise InputError(f"student.image.arch: timm has no model {name!r}{hint}")


def timm_settings(name: str) -> dict[str, Any]:
    """Return timm's own record of a model: input size, mean, standard deviation, interpolation.

    Args:
        name: of a model that `known` accepts.

    Returns:
        The record; empty where timm has none.
    """
    prepare()
    import timm

    found = timm.get_pretrained_cfg(name, allow_unregistered=True)
    return {} if found is None else found.to_dict()


def deployed(encoder: nn.Module) -> nn.Module:
    """Merge parallel branches that exist for the training only.

    Args:
        encoder: in evaluation mode; trunks of timm in it are replaced, anything else is left alone.

    Returns:
        `encoder`.
    """
    for part in list(encoder.modules()):
        trunk = getattr(part, "trunk", None)
        if isinstance(trunk, nn.Module) and any(hasattr(one, name) for one in trunk.modules() for name in _DEPLOYERS):
            from timm.utils import reparameterize_model

            part.trunk = reparameterize_model(trunk, inplace=True)
    return encoder
