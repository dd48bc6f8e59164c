"""`build`: a model and a space of operating points become a bundle.

May import: ``errors``, ``bundle``, ``graph``, ``levels``, ``bottleneck``, ``clip``, ``metrics``, ``payload``,
``stream``, ``detection``; of this part all.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils import _pytree as pytree

from adaedge._version import __version__
from adaedge.bottleneck import Bottleneck
from adaedge.builder.assembly import Assembly, Progress
from adaedge.builder.bottlenecks import MOST_MOVING
from adaedge.builder.build_cache import BuildCache
from adaedge.builder.class_names import class_names
from adaedge.builder.detector_call import Given
from adaedge.builder.evaluation import Evaluate
from adaedge.builder.frames import ExampleCall
from adaedge.builder.networks import check_alike, telling
from adaedge.builder.point_choice import with_levels
from adaedge.builder.samples import Samples
from adaedge.builder.space import INT8, Space
from adaedge.builder.widths import recalibrate
from adaedge.bundle import Bundle, Manifest, Preprocessing
from adaedge.bundle.batches import listed
from adaedge.clip import Clip, is_frame
from adaedge.detection import Postprocessing
from adaedge.errors import BundleError, CodecError, LevelError
from adaedge.graph.capture import undisturbed
from adaedge.graph.signature import Signature
from adaedge.levels import Elastic
from adaedge.metrics import Metric
from adaedge.payload import BOTTLENECK, DELTA
from adaedge.payload.answers import answer_codec
from adaedge.stream import ChangeDetector, MovedBlocks

_log = logging.getLogger(__name__)


def build(
    net: nn.Module,
    args: Sequence[Any],
    space: Space | None = None,
    *,
    kwargs: Mapping[str, Any] | None = None,
    calibrate: Iterable[Any] | Clip | str | Path | None = None,
    evaluate: Evaluate | Metric | None = None,
    preprocessing: Preprocessing | None = None,
    postprocessing: Postprocessing | None = None,
    labels: Sequence[str] = (),
    name: str = "",
    trained: bool = True,
    answer: str | None = None,
    detector: ChangeDetector | None = None,
    scratch: Path | None = None,
    progress: Progress | None = None,
) -> Bundle:
    """Build a bundle: capture each width once, cut it at every split point, measure every operating point.

    The graphs take the example's batch. With ``preprocessing`` the bundle's input is a uint8 frame (N, H, W, 3), or a
    window (N, frames, H, W, 3), and the normalisation is part of the model; otherwise it takes the model's own input
    tensors, flattened. A window's layout in the model, channels or frames first, is that of the example.

    Args:
        net: the model, or its `Elastic`; nothing of it is changed. A plain model that is built at several widths is
            made elastic, and its narrower widths' batch-norm statistics are measured on ``calibrate``.
        args: an example of its positional arguments.
        space: which operating points to build. Both ends are always there. Without it, or where a dimension of it is
            ``None``: at most 6 split points, 4 widths, 2 precisions and 4 codecs, as far as samples allow; of what was
            chosen this way, points that can be best nowhere are left out.
        kwargs: an example of its keyword arguments.
        calibrate: samples, on which int8 is calibrated, bottlenecks are fitted (on at most 64 frames, spread evenly,
            and scored on others: of a clip, on its second half) and payloads are measured. A list of pictures and
            clips, or one clip. A picture is a uint8 frame (H, W, 3) of any size where there is ``preprocessing``, or a
            tuple of the bundle's input arrays; a clip is an ``adaedge.Clip``, the path of a video, or a list of frames
            or of such tuples in order; a model's window slides over a clip's frames. Frames are held in memory at the
            model's size: some hundreds say enough. Codecs with a state are measured on clips in order, at several
            amounts of change. Without any samples, payloads are those of a random input, and no accuracy is measured
            unless ``evaluate`` is given.
        evaluate: ``evaluate(predict)`` returns an `Accuracy` or a fraction; ``predict(inputs)`` runs a tuple of input
            arrays at the operating point that is being measured. Or a metric of ``adaedge.metrics``, or one of your
            own: a point's answers are compared with the full network's on ``calibrate``. Without it, the default metric
            of the outputs does; where there is none, a warning says so. `top1` makes one from labels. A function of
            your own sees each frame by itself, so of a codec with a state it judges refreshes.
        preprocessing: geometry and normalisation of frames; ``None`` where the input is not an image. A detector of
            torchvision's has its own: a frame is stretched to the example's size.
        postprocessing: what makes boxes, scores and labels of the outputs, before the answer codec. Detectors that
            ``adaedge.models.detector_of`` knows have their own, and are captured up to their raw heads.
        labels: name of each class; by default, those that the model itself names (``net.config.id2label``).
        name: name of the model.
        trained: whether its weights were trained, or random.
        answer: the answer codec: what a user gets of the outputs, and what crosses back, as ``adaedge.payload.answers``
            lists them: ``best@5``, ``labels@129x129``, ``f16+zstd``. Accuracy is that of such answers. By default, no
            value changes, but that the logits of a map whose classes ``labels`` names become label maps, and that a
            detector answers ``boxes``.
        detector: measures how much changed since an answer was computed, by which one is kept; `MovedBlocks` unless
            told. The terminal measures with the same.
        scratch: a folder for what takes long: a build that was stopped goes on from there. It may be deleted when the
            bundle is saved.
        progress: called as ``progress(what, done, total)``.

    Raises:
        SplitError: if a split point of ``space`` does not exist in any of its networks.
        CodecError: if no codec of ``space`` can carry what crosses at a split point of it, or a bottleneck cannot be
            fitted there, has no samples to be fitted on, or belongs to another split point; if there is no such answer
            codec, or it makes no answer of the outputs.
        LevelError: if the model cannot be as narrow as ``space`` says, or there are no samples for int8.
        CaptureError: if the model cannot be captured or exported to ONNX, or its graphs compute something else. Of a
            detector with two stages that is said at once.
        ModelError: if ``preprocessing`` does not fit the example, ``args`` is no tuple, or one of the space's networks
            does not take the example or answers in another form.
        MetricError: if ``evaluate`` is a metric, and there are no samples, or it cannot judge the outputs.
        BundleError: if ``evaluate`` returns no fraction, or a sample is none of the model's inputs.
        SourceError: if a clip does not decode, or a frame is none.

    Warns:
        UserWarning: if only some of its widths can be built. That the network is in training mode, or that its answers
            to the samples cannot tell points apart, is logged.

    Example:
        >>> net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2)).eval()
        >>> bundle = build(net, (torch.rand(1, 4),), Space(splits=["1"], widths=[1, 0.5]))
        >>> [str(point) for point in bundle.points]
        ['input/w1/fp32/raw', '1/w1/fp32/raw', '1/w0.5/fp32/raw', 'output/w1/fp32/raw', 'output/w0.5/fp32/raw']
    """
    report = progress or _silent
    given = Given(
        net, args, space or Space(None, None, None, None), kwargs or {}, preprocessing, postprocessing
    ).split()
    net, named, preprocessing = given.net, given.space, given.preprocessing
    call = ExampleCall(given.args, given.kwargs, preprocessing)
    if net.training:
        _log.warning(
            "the network is in training mode and is built as in evaluation mode: dropout off, batch-norm by its running"
            " statistics. Call `net.eval()` before, if that is meant."
        )
    if answer is not None:
        answer_codec(answer)  # a name that is none is told now; whether it fits, when the outputs are known
    detector = detector or MovedBlocks()
    samples = Samples.read(calibrate, preprocessing, detector)
    if INT8 in (named.precisions or ()) and not samples:
        raise LevelError(
            "int8 is calibrated on samples of the input, and there are none. Give about 300 as `calibrate`"
            " (`--images FOLDER`), or leave int8 out."
        )
    _check_samples(named, samples)
    _check_inputs(samples, call)
    plain = not isinstance(net, Elastic)
    check_alike(net.net if isinstance(net, Elastic) else net, named.networks, call)
    if not plain and named.multiple != 1:
        raise LevelError("an Elastic keeps channels in multiples of its own; give `multiple` where it is made")
    own = net.widths if isinstance(net, Elastic) else None
    scored = evaluate is not None or bool(samples and named.widths is None and _is_classifier(net, call))
    space = with_levels(named, own=own, calibrated=bool(samples), scored=scored)
    if plain and space.widths != (1.0,):
        net, space = _narrowed(net, call, samples, space, named, report)
    about = Manifest(
        name,
        __version__,
        (),
        (),
        {},
        (),
        (),
        {},
        preprocessing,
        tuple(labels) or class_names(net),
        trained,
        changes=samples.changes,
    )
    about = replace(about, postprocessing=given.postprocessing)
    metric, judge = (evaluate, None) if isinstance(evaluate, Metric) else (None, evaluate)
    assembly = Assembly(
        net, call, space, named, about, answer, samples, judge, metric, BuildCache(scratch), report, plain, detector
    )
    assembly.settle()
    for level in assembly.levels:
        with telling(level.network):
            assembly.add(level)
    return assembly.finished()


def _check_samples(named: Space, samples: Samples) -> None:
    """Refuse codecs that are fitted on samples where there are none.

    Raises:
        CodecError: if there is one.
    """
    names = named.codecs or ()
    if BOTTLENECK in names and not samples:
        raise CodecError(
            f"the codec {BOTTLENECK} is fitted on samples of the input, and there are none. Give a few dozen as"
            f" `calibrate` (`--images FOLDER`), or leave {BOTTLENECK} out."
        )
    own = any(isinstance(codec, Bottleneck) and codec.latents.changes is not None for codec in names)
    if DELTA in names and not own and not samples.runs(MOST_MOVING):
        raise CodecError(
            f"the codec {DELTA} is fitted on the first half of clips, frames in order, and no sample is a clip of four"
            f" frames or more. Give one of some dozens as `calibrate` (`--clips FILE`), or leave {DELTA} out."
        )


def _check_inputs(samples: Samples, call: ExampleCall) -> None:
    """Refuse samples of other types or shapes than the example's, before anything is captured.

    Raises:
        BundleError: if the first one is.
    """
    if not samples:
        return
    came = [(array.dtype.name, array.shape) for array in samples.inputs[0]]
    wanted = [(array.dtype.name, array.shape) for array in call.inputs]
    if [(name, shape[1:]) for name, shape in came] != [(name, shape[1:]) for name, shape in wanted]:
        pictures = any(is_frame(array) for array in samples.inputs[0]) and not call.wrapped
        cure = (
            " These are pictures: say how they become the model's input with `preprocessing`"
            " (`--preprocessing '{\"size\": [224, 224]}'`)."
            if pictures
            else ""
        )
        raise BundleError(f"inputs: expected {listed(wanted)}; got {listed(came)}.{cure}")


def _silent(what: str, done: int, total: int) -> None:
    del what, done, total


def _is_classifier(net: nn.Module, call: ExampleCall) -> bool:
    """Whether the model's first output has the shape of class scores."""
    net = net.net if isinstance(net, Elastic) else net
    with undisturbed(net, Signature.of(call.args, call.kwargs)), torch.no_grad():
        leaves = pytree.tree_leaves(net(*call.args, **call.kwargs))
    first = next((leaf for leaf in leaves if isinstance(leaf, torch.Tensor)), None)
    return first is not None and first.dim() == 2 and first.shape[1] > 1 and first.is_floating_point()


def _narrowed(
    net: nn.Module, call: ExampleCall, samples: Samples, space: Space, named: Space, report: Progress
) -> tuple[nn.Module, Space]:
    """A plain network made elastic; as it is, where its widths were chosen and it has none."""
    try:
        widths = space.widths or ()
        elastic = Elastic(net, call.args, widths, kwargs=call.kwargs, multiple=space.multiple, progress=report)
    except LevelError as error:
        if named.widths is not None:
            raise
        warnings.warn(f"only width 1 is built: {error}", UserWarning, stacklevel=3)  # the caller of `build`
        return net, replace(space, widths=(1.0,))
    recalibrate(elastic, call, samples.inputs)
    return elastic, space
