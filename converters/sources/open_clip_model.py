"""Build an open_clip model through its own factory, and turn its failures into errors that say what to do."""

from __future__ import annotations

import re
import tempfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from edgekit.converters.export import first_line
from edgekit.converters.sources.open_clip_hub import HUB_FAILURE, fast_hub, quiet, wanted_file
from edgekit.errors import ConversionError, InputError, UnsupportedModelError

if TYPE_CHECKING:
    from edgekit.converters.sources.open_clip_request import Request

_NAMES_SHOWN = 4
_SEED = 0


def create(request: Request) -> Any:
    """Build the model with its weights, in float32 and evaluation mode.

    Args:
        request: what to build; without any weights the parameters are random, and the same on every call.

    Returns:
        open_clip's model: `CLIP`, `CustomTextCLIP` or `CoCa`.

    Raises:
        InputError: the weight file is damaged or belongs to another architecture.
        UnsupportedModelError: a module of the configuration does not exist in the installed libraries.
        ConversionError: a file that only a hub holds cannot be fetched; the message names it.
    """
    with tempfile.TemporaryDirectory(prefix="edgekit-") as folder:
        file = request.file
        if file is not None and _is_torchscript(file):
            file = _unwrap_torchscript(request, file, Path(folder))
        with fast_hub(_needs_hub(request)), quiet(), torch.random.fork_rng(devices=[]):
            torch.manual_seed(_SEED)
            try:
                model = _create(request, file)
            except Exception as error:
                raise _explain(request, error) from error
    return model.float().eval()


def _create(request: Request, file: Path | None) -> Any:
    import open_clip

    return open_clip.create_model(
        request.model,
        str(file) if file is not None else (request.tag or None),
        precision="fp32",
        device="cpu",
        # A tower's own pretraining is of no use without the weights that align the two.
        pretrained_image=False,
        pretrained_text=False,
        require_pretrained=not request.is_random,
    )


def _needs_hub(request: Request) -> bool:
    text_model = request.config.get("text_cfg", {}).get("hf_model_name")
    return (
        bool(request.tag) or request.model.startswith("hf-hub:") or bool(text_model and not Path(text_model).is_dir())
    )


def _is_torchscript(file: Path) -> bool:
    """OpenAI published its checkpoints as TorchScript archives, which hold code beside the weights."""
    if not zipfile.is_zipfile(file) or file.suffix in (".npz", ".npy"):
        return False
    with zipfile.ZipFile(file) as archive:
        return any(name.endswith("constants.pkl") for name in archive.namelist())


def _unwrap_torchscript(request: Request, file: Path, folder: Path) -> Path:
    """Copy the weights of a TorchScript archive into a plain file; the archive's code is not run."""
    if not request.config.get("quick_gelu", False):
        raise InputError(
            f"{file}: a TorchScript archive, as OpenAI publishes its weights; they were trained with QuickGELU, "
            f"which {request.model} does not use: take the -quickgelu twin of the model"
        )
    try:
        with quiet():
            state = torch.jit.load(str(file), map_location="cpu").state_dict()  # type: ignore[no-untyped-call]
    except RuntimeError as error:
        raise InputError(f"{file}: damaged TorchScript archive ({first_line(error)})") from error
    sizes = {"input_resolution", "context_length", "vocab_size"}
    plain = folder / "weights.pt"
    torch.save({name: value for name, value in state.items() if name not in sizes}, plain)
    return plain


def _explain(request: Request, error: Exception) -> Exception:
    """Choose the error type and message for whatever the factory raised."""
    text = str(error)
    weights = str(request.file or request.tag or request.model)
    if "loading state_dict" in text:
        return InputError(f"{weights}: these weights do not belong to {request.model}: {_mismatch(text)}")
    text_model = request.config.get("text_cfg", {}).get("hf_model_name", "")
    if request.tag and HUB_FAILURE.search(text):
        wanted = wanted_file(request.tag_config)
        return ConversionError(
            f"the weights '{request.tag}' of {request.model} could not be fetched. Wanted: {wanted}. Fetch it on "
            f"another machine and convert open_clip:{request.model}:/path/to/file instead"
        )
    if request.model.startswith("hf-hub:") and HUB_FAILURE.search(text):
        repo = request.model.partition(":")[2]
        return ConversionError(
            f"{repo}: open_clip_config.json and open_clip_model.safetensors (or open_clip_pytorch_model.bin) could "
            f"not be fetched. Put them in a folder and convert open_clip:local-dir:FOLDER instead"
        )
    if text_model and HUB_FAILURE.search(text):
        return ConversionError(
            f"{text_model}/config.json, the configuration of {request.model}'s text tower, could not be fetched. Save "
            f"it in a folder, copy open_clip's configuration of {request.model}, set its text_cfg.hf_model_name to "
            f"that folder, and convert open_clip:CONFIG.json instead"
        )
    if request.file is not None and not _is_architecture(text):
        return InputError(f"{request.file}: cannot be read as weights of {request.model}: {_summary(error)}")
    return UnsupportedModelError(f"{request.model}: open_clip cannot build this model: {_summary(error)}")


def _is_architecture(text: str) -> bool:
    return "Unknown model" in text or "unexpected keyword argument" in text


def _mismatch(text: str) -> str:
    """Shorten PyTorch's list of differing names, thousands of characters long, to its first few."""
    parts = []
    for line in (line.strip() for line in text.splitlines()[1:]):
        names = re.findall(r'"([^"]+)"', line)
        if line.startswith(("Missing", "Unexpected")) and names:
            more = f" and {len(names) - _NAMES_SHOWN} more" if len(names) > _NAMES_SHOWN else ""
            parts.append(f"{line.split()[0].lower()} {', '.join(names[:_NAMES_SHOWN])}{more}")
        elif line.startswith("size mismatch") and len(parts) < _NAMES_SHOWN:
            parts.append(line.rstrip("."))
    return "; ".join(parts) or first_line(Exception(text))


def _summary(error: Exception) -> str:
    name = type(error).__name__
    return name if not str(error) else f"{name}: {first_line(error)}"
