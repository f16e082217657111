"""Make the work of a pipeline from an opened bundle and inputs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit.benchmarks.workloads.image import ImageWork
from edgekit.benchmarks.workloads.inputs import packaged_labels, require
from edgekit.benchmarks.workloads.photo import PhotoWork
from edgekit.benchmarks.workloads.text import TextWork
from edgekit.errors import InputError

if TYPE_CHECKING:
    from edgekit.benchmarks.results.records import Pipeline
    from edgekit.benchmarks.scenarios.protocol import Workload
    from edgekit.benchmarks.workloads.inputs import Inputs
    from edgekit.clip import Clip


def create(clip: Clip, pipeline: Pipeline, inputs: Inputs, batch: int) -> Workload:
    """Make what a query does.

    Every stage is the function that `Clip` itself calls; what `Clip` keeps between calls (embeddings of texts) is below
    it and not used, except for the labels of the photo pipeline, which an app embeds once.

    Args:
        clip: opened; it must stay open.
        pipeline: ``image`` (pixels to embedding), ``text`` (text to embedding) or ``photo`` (encoded photo to ranked
            labels).
        inputs: at least one of the kind that the pipeline needs.
        batch: samples of a query, at least 1.

    Returns:
        The work, with one sample for each input.

    Raises:
        ImageError: a photo cannot be decoded (``image`` decodes all of them here).
        InputError: the pipeline is unknown, there is no input for it, or the bundle has no text tower to embed texts.
        TextError: a label cannot be used with this bundle.
        ExecutionError: a tower that the pipeline needs was not loaded.
    """
    if pipeline not in ("image", "text", "photo"):
        raise InputError(f"pipeline is {pipeline!r}; give image, text or photo")
    if batch < 1:
        raise InputError(f"batch is {batch}; give at least 1")
    require(inputs, pipeline)
    if pipeline == "image":
        return ImageWork(clip, inputs.photos)
    if pipeline == "text":
        return TextWork(clip, inputs.texts)
    return PhotoWork(clip, inputs.photos, labels_of(clip, inputs))


def labels_of(clip: Clip, inputs: Inputs) -> tuple[str, ...]:
    """Return the labels that a photo is ranked with: those given, else the bundle's frozen ones, else the packaged."""
    return inputs.labels or clip.labels or packaged_labels()
