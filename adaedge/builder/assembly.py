"""Capture, cut, assemble, verify, score: a model becomes a bundle.

May import: ``errors``, ``operating_point``, ``payload``, ``bundle``, ``graph``; of this part all.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import safetensors.numpy
import torch
from torch import nn
from torch.utils import _pytree as pytree

from adaedge._version import __version__
from adaedge.builder.cuts import Parts, find_points, make_parts, outer_name
from adaedge.builder.frames import Preprocessed
from adaedge.builder.scoring import Evaluate, Scorer, agreement
from adaedge.builder.space import Space, codecs_for
from adaedge.bundle import Bundle, Manifest, PointEntry, Preprocessing
from adaedge.bundle.manifest import WEIGHTS, File
from adaedge.engine import Arrays
from adaedge.errors import CaptureError, ModelError
from adaedge.graph import SplitPoint, Splittable
from adaedge.operating_point import INPUT, OUTPUT

Progress = Callable[[str, int, int], None]

# ONNX Runtime and PyTorch add in different orders; wrong graphs are off by far more.
_TOLERANCE = 1e-3


def build(
    net: nn.Module,
    args: Sequence[Any],
    space: Space,
    *,
    kwargs: Mapping[str, Any] | None = None,
    calibrate: Iterable[Any] | None = None,
    evaluate: Evaluate | None = None,
    preprocessing: Preprocessing | None = None,
    labels: Sequence[str] = (),
    name: str = "",
    trained: bool = True,
    progress: Progress | None = None,
) -> Bundle:
    """Build a bundle: capture the model once, cut it at every split point, measure every operating point.

    The graphs take the example's batch. With ``preprocessing`` the bundle's input is a uint8 frame (N, H, W, 3), and
    the normalisation is part of the model; otherwise it takes the model's own input tensors, flattened.

    Args:
        net: the model; nothing of it is changed.
        args: an example of its positional arguments.
        space: which operating points to build. Both ends are always there.
        kwargs: an example of its keyword arguments.
        calibrate: sample inputs, on which mean payloads are measured: a uint8 frame (H, W, 3) of any size where there
            is ``preprocessing``, or a tuple of the bundle's input arrays. Without any, payloads are those of a random
            input, and no accuracy is measured unless ``evaluate`` is given.
        evaluate: ``evaluate(predict)`` returns an `Accuracy` or a fraction; ``predict(inputs)`` runs a tuple of input
            arrays at the operating point that is being measured. Without it, a classifier is scored by its agreement
            with the full network on ``calibrate``. `top1` makes one from labels.
        preprocessing: geometry and normalisation of frames; ``None`` where the input is not an image.
        labels: name of each class.
        name: name of the model.
        trained: whether its weights were trained, or random.
        progress: called as ``progress(what, done, total)``.

    Raises:
        SplitError: if a split point of ``space`` does not exist.
        CodecError: if no codec of ``space`` can carry what crosses at a split point of it.
        CaptureError: if the model cannot be captured or exported to ONNX, or its graphs compute something else.
        ModelError: if ``preprocessing`` does not fit the example, or ``args`` is no tuple.

    Example:
        >>> net = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2)).eval()
        >>> bundle = build(net, (torch.rand(1, 4),), Space(splits=["1"], codecs=["raw"]))
        >>> [str(point) for point in bundle.points]
        ['input/w1/fp32/raw', '1/w1/fp32/raw', 'output/w1/fp32/raw']
    """
    report = progress or _silent
    report("capture", 0, 1)
    model, example = _model(net, args, kwargs or {}, preprocessing)
    splittable = Splittable(model, *example, dynamic=False)
    if splittable.obstacle is not None and not {*space.splits} <= {INPUT, OUTPUT}:
        raise splittable.obstacle
    tensors = [leaf for leaf in pytree.tree_leaves(example) if isinstance(leaf, torch.Tensor)]
    points = find_points(splittable, space.splits, wrapped=preprocessing is not None)
    entries = _entries(points, space, wrapped=preprocessing is not None)
    report("capture", 1, 1)
    report("export", 0, 1)
    parts = make_parts(splittable, points, tensors, wrapped=preprocessing is not None)
    manifest, files = _assembled(parts, entries)
    manifest = replace(manifest, model=name, preprocessing=preprocessing, labels=tuple(labels), trained=trained)
    bundle = Bundle(manifest, files)
    inputs = tuple(tensor.numpy(force=True) for tensor in tensors)
    _verify(bundle, splittable, example, inputs)
    report("export", 1, 1)
    samples = [bundle.inputs_of(sample) for sample in (() if calibrate is None else calibrate)]
    evaluate = evaluate or agreement(bundle, samples)
    entries = _scored(bundle, evaluate, samples if samples or evaluate else [inputs], report)
    return Bundle(replace(manifest, points=entries), files)


def _silent(what: str, done: int, total: int) -> None:
    del what, done, total


def _model(
    net: nn.Module, args: Sequence[Any], kwargs: Mapping[str, Any], preprocessing: Preprocessing | None
) -> tuple[nn.Module, tuple[tuple[Any, ...], dict[str, Any]]]:
    """The model that is captured, and the example that it is called with."""
    if not isinstance(args, tuple | list):
        raise ModelError(f"args is a tuple of the model's arguments, such as (image,); got a {type(args).__name__}")
    if preprocessing is None:
        return net, (tuple(args), dict(kwargs))
    image = args[0] if args else None
    expected = (len(preprocessing.mean), *preprocessing.size)
    if len(args) != 1 or kwargs or not isinstance(image, torch.Tensor) or tuple(image.shape[1:]) != expected:
        got = ", ".join(str(tuple(getattr(value, "shape", ()))) for value in (*args, *kwargs.values()))
        raise ModelError(
            f"preprocessing makes one image {('N', *expected)} of a frame; the example has {got}. Give one such image,"
            " or leave preprocessing out."
        )
    frame = torch.randint(256, (len(image), *preprocessing.size, 3), generator=torch.Generator().manual_seed(0))
    return Preprocessed(net, preprocessing), ((frame.to(image.device, torch.uint8),), {})


def _entries(points: Sequence[SplitPoint], space: Space, *, wrapped: bool) -> tuple[PointEntry, ...]:
    """Every operating point, nothing of it measured yet."""
    entries = []
    for point in points:
        name = outer_name(point.name, wrapped)
        crossing = [(tensor.dtype, tensor.shape) for tensor in point.crossing]
        for codec in codecs_for(name, crossing, space.codecs):
            entries.append(PointEntry(name, 1.0, "fp32", codec, payload_bytes=0.0))
    return tuple(entries)


def _assembled(parts: Parts, entries: tuple[PointEntry, ...]) -> tuple[Manifest, dict[str, bytes]]:
    files = {**parts.graphs, WEIGHTS: safetensors.numpy.save(parts.weights.tensors)}
    hashes = {path: File(hashlib.sha256(data).hexdigest(), len(data)) for path, data in files.items()}
    return Manifest("", __version__, parts.inputs, parts.outputs, hashes, tuple(parts.cuts), entries), files


def _verify(bundle: Bundle, splittable: Splittable, example: tuple[Any, Any], inputs: Arrays) -> None:
    """Hold every pair of graphs against the captured model.

    Raises:
        CaptureError: if one of them computes something else.
    """
    args, kwargs = example
    with torch.no_grad():
        expected = [tensor.numpy(force=True) for tensor in splittable.tap([])(*args, **kwargs)]
    for cut in bundle.manifest.cuts[1:]:
        found = bundle.tail(cut.split).run(bundle.head(cut.split).run(inputs))
        error = max(map(relative_error, found, expected), default=0.0)
        if not error <= _TOLERANCE:
            raise CaptureError(
                f"the ONNX graphs cut at {cut.split!r} differ from the model by {error:.1e}, relative to the largest"
                f" output; at most {_TOLERANCE:g} is expected. Leave this split point out."
            )


def relative_error(found: npt.NDArray[Any], expected: npt.NDArray[Any]) -> float:
    """The largest difference, relative to the largest expected value; infinite where types or shapes differ."""
    if found.shape != expected.shape or found.dtype != expected.dtype:
        return float("inf")
    if not expected.size or np.array_equal(found, expected, equal_nan=found.dtype.kind == "f"):
        return 0.0
    wide, reference = found.astype(np.float64), expected.astype(np.float64)
    return float(np.abs(wide - reference).max() / max(np.abs(reference).max(), 1e-30))


def _scored(
    bundle: Bundle, evaluate: Evaluate | None, samples: Sequence[Arrays], report: Progress
) -> tuple[PointEntry, ...]:
    """The operating points with their mean payloads and accuracies."""
    entries = bundle.manifest.points
    scored: list[PointEntry] = []
    for cut in bundle.manifest.cuts:
        scorer = Scorer(bundle)  # keeps the features of one split point only
        for entry in entries:
            if entry.split == cut.split:
                report("measure", len(scored), len(entries))
                accuracy = scorer.accuracy(entry.point, evaluate) if evaluate else None
                payload_bytes = scorer.payload_bytes(entry.point, samples)
                scored.append(replace(entry, accuracy=accuracy, payload_bytes=payload_bytes))
    report("measure", len(entries), len(entries))
    return tuple(scored)
