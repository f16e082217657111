"""Fail fast and plainly where a model hub holds a file that is needed and cannot be reached."""

from __future__ import annotations

import contextlib
import functools
import logging
import re
import ssl
import threading
import urllib.error
import urllib.request
import warnings
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

HUB_FAILURE = re.compile(r"download|locate|connect|offline|resolve|huggingface|timed? ?out", re.IGNORECASE)
"""What messages of hub clients, of any version, have in common when a file could not be had."""

_PATIENCE_S = 5.0


@contextlib.contextmanager
def fast_hub(needed: bool) -> Iterator[None]:
    """Inside the block, let the hub's client use only its cache when the hub does not answer.

    Unreachable, the client would retry for most of a minute for each file. One short request decides instead.
    Files already in the cache are found either way.

    Args:
        needed: whether anything inside may come from the hub; without it no request is made.

    Yields:
        Nothing.
    """
    from huggingface_hub import constants

    before = constants.HF_HUB_OFFLINE
    if needed and not before and not reachable(constants.ENDPOINT):
        constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


@functools.lru_cache(maxsize=8)
def reachable(url: str) -> bool:
    """Tell whether a server answers within five seconds, proxies included; asked once a process."""
    answers: list[bool] = []
    # Name resolution knows no time limit, hence the thread.
    thread = threading.Thread(target=lambda: answers.append(_answers(url)), daemon=True)
    thread.start()
    thread.join(_PATIENCE_S)
    return bool(answers and answers[0])


def _answers(url: str) -> bool:
    try:
        request = urllib.request.Request(url, method="HEAD")  # noqa: S310  the hub's own endpoint
        with urllib.request.urlopen(request, timeout=_PATIENCE_S):  # noqa: S310
            return True
    except urllib.error.HTTPError:
        return True
    except urllib.error.URLError as error:
        # Certificates are the client's affair: whoever sends one is there.
        return isinstance(error.reason, ssl.SSLError)
    except OSError:
        return False


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Silence libraries that log through the root logger or warn; what matters is raised as an error instead."""
    root = logging.getLogger()
    handlers, disabled = root.handlers[:], root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)
        root.handlers[:] = handlers  # `logging.info` on an unconfigured root adds one


def wanted_file(tag_config: dict[str, str]) -> str:
    """Say where open_clip would fetch a tag's weights: ``owner/repo/file`` or a URL."""
    place = str(tag_config.get("hf_hub", ""))
    if place.endswith("/"):
        return f"{place}open_clip_model.safetensors (or open_clip_pytorch_model.bin)"
    return place or str(tag_config.get("url", "the weight file"))
