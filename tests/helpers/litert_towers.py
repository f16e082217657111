"""The towers of `tiny_towers` as TensorFlow Lite files, and a bundle that holds them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

import tiny_bundle
from edgekit.bundle.manifest import Agreement, Manifest, TensorSpec, Tolerance, TowerRecord, VariantRecord
from litert_models import Graph, schema
from tiny_towers import DIMENSION, MEAN, PAD_ID, PATCH, SIZE, STD, WIDTH, Weights, weights

if TYPE_CHECKING:
    from pathlib import Path

_PERFECT = Agreement(4, 0.0, 1.0, 1.0, 1.0, 1.0)
_SIDE = SIZE // PATCH


def bundle(path: Path, seed: int = 0) -> Path:
    """Write a bundle whose one variant, ``litert``, computes what `tiny_bundle`'s does."""
    with_words = weights(seed, tiny_bundle.make_tokenizer().get_vocab_size())
    members = {"litert/image.tflite": image_tower(with_words), "litert/text.tflite": text_tower(with_words)}
    return tiny_bundle.build(
        path,
        seed=seed,
        extra={f"variants/{name}": data for name, data in members.items()},
        change=_with_variant,
    )


def _with_variant(manifest: Manifest) -> Manifest:
    from dataclasses import replace

    specs = {
        "image": TensorSpec("pixels", "uint8", ("batch", SIZE, SIZE, 3)),
        "text": TensorSpec("token_ids", "int32", ("batch", "length")),
    }
    out = TensorSpec("embedding", "float32", ("batch", DIMENSION))
    towers = {
        name: TowerRecord(f"variants/litert/{name}.tflite", (), spec, out, _PERFECT, Tolerance(0.9999, 0.999))
        for name, spec in specs.items()
    }
    variant = VariantRecord("litert", "tflite", "any", "fp32", towers["image"], towers["text"], {"litert_towers": "1"})
    return replace(manifest, variants=(*manifest.variants, variant))


def image_tower(w: Weights) -> bytes:
    """Pixels uint8 (N, 32, 32, 3) to ``embedding`` (N, 16); one addition."""
    graph = Graph()
    shape = (None, SIZE, SIZE, 3)
    pixels = graph.tensor("pixels", shape, "uint8")
    floats, scaled, normal = (graph.tensor(name, shape) for name in ("floats", "scaled", "normal"))
    graph.op("CAST", [pixels], [floats])
    scale = graph.constant("scale", np.array(1 / (255 * np.array(STD)), np.float32))
    graph.op("MUL", [floats, scale], [scaled], schema.MulOptionsT())
    shift = graph.constant("shift", np.array(-np.array(MEAN) / STD, np.float32))
    graph.op("ADD", [scaled, shift], [normal], schema.AddOptionsT())
    channels = len(w.patches)
    cut = graph.tensor("cut", (None, _SIDE, _SIDE, channels))
    options = schema.Conv2DOptionsT()
    options.strideW = options.strideH = PATCH
    options.dilationWFactor = options.dilationHFactor = options.padding = options.fusedActivationFunction = 1
    patches = graph.constant("patches", np.ascontiguousarray(w.patches.transpose(0, 2, 3, 1)))
    bias = graph.constant("no bias", np.zeros(channels, np.float32))
    graph.op("CONV_2D", [normal, patches, bias], [cut], options)
    flat = graph.tensor("flat", (None, len(w.image)))
    graph.op("RESHAPE", [cut, graph.constant("flat shape", np.array([-1, len(w.image)], np.int32))], [flat])
    # The features are in another order here: by place first, then by channel.
    order = w.image.reshape(channels, _SIDE * _SIDE, DIMENSION).transpose(1, 0, 2).reshape(-1, DIMENSION)
    return graph.model({"pixels": pixels}, {"embedding": _unit(graph, flat, order)})


def text_tower(w: Weights) -> bytes:
    """Token ids int32 (N, L) to ``embedding`` (N, 16); one addition, of the projection to itself."""
    graph = Graph()
    ids = graph.tensor("token_ids", (None, None), "int32")
    rows, kept = (graph.tensor(name, (None, None, WIDTH)) for name in ("rows", "kept"))
    graph.op("GATHER", [graph.constant("table", w.table), ids], [rows], schema.GatherOptionsT())
    used, flat = graph.tensor("used", (None, None), "bool"), graph.tensor("flat mask", (None, None))
    graph.op("NOT_EQUAL", [ids, graph.constant("pad", np.array([PAD_ID], np.int32))], [used])
    graph.op("CAST", [used], [flat])
    mask = graph.tensor("mask", (None, None, 1))
    graph.op("EXPAND_DIMS", [flat, graph.constant("last", np.array(2, np.int32))], [mask])
    graph.op("MUL", [rows, mask], [kept], schema.MulOptionsT())
    # The length of the result is lost in the norm, so the sum does as well as the mean.
    total = graph.tensor("total", (None, WIDTH))
    axis = graph.constant("middle", np.array([1], np.int32))
    graph.op("SUM", [kept, axis], [total], schema.ReducerOptionsT())
    twice = graph.tensor("twice", (None, WIDTH))
    graph.op("ADD", [total, total], [twice], schema.AddOptionsT())
    return graph.model({"token_ids": ids}, {"embedding": _unit(graph, twice, w.text)})


def _unit(graph: Graph, x: int, projection: np.ndarray[tuple[int, int], np.dtype[np.float32]]) -> int:
    projected, unit = (graph.tensor(name, (None, DIMENSION)) for name in ("projected", "embedding"))
    matrix = graph.constant("projection", np.ascontiguousarray(projection.T))
    graph.op("FULLY_CONNECTED", [x, matrix, -1], [projected], schema.FullyConnectedOptionsT())
    graph.op("L2_NORMALIZATION", [projected], [unit], schema.L2NormOptionsT())
    return unit
