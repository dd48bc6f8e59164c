"""The bottlenecks of a bundle: one for each split point and width, fitted here or brought by the user.

May import: ``errors``, ``payload``, ``engine``, ``detection``, ``bundle``, ``graph``, ``bottleneck``,
``operating_point``; of this part ``frames``, ``evaluation``, ``build_cache``, ``level_names``, ``verification``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import torch

from adaedge._version import __version__
from adaedge.bottleneck import Bottleneck
from adaedge.bottleneck.changes import fit_changes
from adaedge.builder.build_cache import BuildCache, key
from adaedge.builder.evaluation import content_hash
from adaedge.builder.frames import ExampleCall
from adaedge.builder.level_names import folder_of
from adaedge.builder.verification import TOLERANCE, relative_error
from adaedge.bundle import Cut, Subgraph
from adaedge.detection import Postprocessing
from adaedge.engine import Arrays
from adaedge.errors import CodecError
from adaedge.graph import CrossingTensor, SplitPoint, Splittable
from adaedge.operating_point import FP32, INPUT, OUTPUT, Level
from adaedge.payload import BOTTLENECK, DELTA
from adaedge.payload.latent import Layout, TransformCode
from adaedge.payload.latent.storage import from_bytes, to_bytes

MOST_SAMPLES = 64  # more saturate
MOST_MOVING = 100  # frames in order, of all clips together


@dataclass(slots=True)
class Bottlenecks:
    """The bottlenecks of a bundle.

    Attributes:
        files: path → bytes.
        rates: path → how many rates it has.
        moving: the paths of those that have tables of changes.
        paths: (split point, network and width) → path.
        folded: path → the tail that its decoder is folded into.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    rates: dict[str, int] = field(default_factory=dict)
    moving: set[str] = field(default_factory=set)
    paths: dict[tuple[str, Level], str] = field(default_factory=dict)
    folded: dict[str, Subgraph] = field(default_factory=dict)

    def add(self, split: str, level: Level, file: bytes, fold: Callable[[TransformCode], Subgraph | None]) -> None:
        """Take the file of a bottleneck.

        Args:
            split: name of the split point.
            level: network and width, in fp32.
            file: its bytes.
            fold: the tail that takes its coefficients, where there can be one.
        """
        path = f"{folder_of(level, 'bottlenecks')}{len(self.paths)}-{re.sub(r'[^A-Za-z0-9.-]', '_', split)}.safetensors"
        self.files[path], self.paths[split, level] = file, path
        latents = from_bytes(file, path)[1]
        self.rates[path] = latents.rates
        if latents.changes is not None:
            self.moving.add(path)
        if (half := fold(latents)) is not None:
            self.folded[path] = half

    def placed(self, cut: Cut) -> Cut:
        """A cut with its bottleneck, where it has one."""
        path = self.paths.get((cut.split, replace(cut.level, precision=FP32)))
        return replace(cut, bottleneck=path, folded_tail=self.folded.get(path)) if path else cut

    def codecs(self, path: str | None, names: Sequence[str]) -> tuple[str, ...]:
        """The names of codecs, ``bottleneck`` and ``delta`` as each rate of the one in this file.

        They are left out where there is none, ``delta`` also where it has no tables of changes.
        """
        rates = range(self.rates[path]) if path else ()
        moving = rates if path in self.moving else ()
        each = {
            BOTTLENECK: tuple(f"{BOTTLENECK}@{rate}" for rate in rates),
            DELTA: tuple(f"{DELTA}@{rate}" for rate in moving),
        }
        return tuple(codec for name in names for codec in each.get(name, (name,)))


def carries(split: str, crossing: Sequence[CrossingTensor]) -> bool:
    """Whether a bottleneck can be fitted at a split point."""
    if split in (INPUT, OUTPUT):
        return False
    try:
        _layout(crossing)
    except CodecError:
        return False
    return True


def import_bottleneck(bottleneck: Bottleneck, point: SplitPoint, call: ExampleCall, features: Arrays) -> bytes:
    """The file of the user's own bottleneck.

    Args:
        bottleneck: fitted on the user's model.
        point: the split point, named as the user's model has it.
        call: how the model is called.
        features: what the bundle's head returns for the example.

    Raises:
        CodecError: if something else crosses at the split point than it was fitted for.
    """
    planes = bottleneck.latents.layout.planes
    carried = [(plane.dtype, plane.shape) for plane in planes]
    if carried != [(tensor.dtype, tensor.shape[1:]) for tensor in point.crossing]:
        crossing = ", ".join(f"{tensor.dtype} {tensor.shape}" for tensor in point.crossing)
        raise CodecError(
            f"the bottleneck for {bottleneck.split!r} carries"
            f" {', '.join(f'{dtype} {shape}' for dtype, shape in carried)}; here cross {crossing}. Fit one on this"
            " network, with an example of this size."
        )
    args, kwargs = (call.unflattened(call.inputs), {}) if call.wrapped else call.example
    with torch.no_grad():
        expected = [feature.numpy(force=True) for feature in bottleneck.head(*args, **kwargs)]
    if (error := max(map(relative_error, features, expected))) > TOLERANCE:
        raise CodecError(
            f"the bottleneck for {bottleneck.split!r} was fitted on another network: for the example, what crosses"
            f" there differs by {error:.1e}, relative to the largest value. A plain network that is built at several"
            " widths has its channels sorted: make it an `Elastic` first, fit the bottleneck on that, and build that."
        )
    return to_bytes(point.name, bottleneck.latents)


def fit_bottleneck(
    splittable: Splittable,
    at: str,
    name: str,
    call: ExampleCall,
    samples: Sequence[Arrays],
    scratch: BuildCache,
    digest: bytes,
    postprocessing: Postprocessing | None = None,
) -> bytes:
    """The file of a bottleneck that is fitted now.

    Args:
        splittable: the captured width.
        at: name of the split point in it.
        name: the same in the user's model.
        call: how it is called.
        samples: the bundle's inputs, in pieces of the example's batch; the first 64 are used.
        scratch: keeps the file.
        digest: what identifies the network.
        postprocessing: what is done behind a detector's heads.

    Raises:
        CodecError: if it cannot be fitted there.
    """
    chosen = samples[:MOST_SAMPLES]

    def make() -> bytes:
        try:
            images = [call.captured(sample) for sample in chosen]
            made = Bottleneck.fit(splittable, (), split=at, images=images, postprocessing=postprocessing)
            return to_bytes(name, made.latents)
        except (CodecError, RuntimeError, IndexError) as error:  # the latter: of an output without gradient, or batch
            raise CodecError(
                f"no bottleneck can be fitted at {name!r}: {error}. Leave the codec {BOTTLENECK} or this split point"
                " out."
            ) from error

    content = content_hash(array for sample in chosen for array in sample)
    judged = b"" if postprocessing is None else repr(postprocessing).encode()
    return scratch.get_or(key(BOTTLENECK, __version__, torch.__version__, name, digest, content, judged), make)


def with_changes(file: bytes, clips: Sequence[Sequence[Arrays]], scratch: BuildCache) -> bytes:
    """The file of a bottleneck with tables of changes; as it is where it has them, or there is no clip.

    Args:
        file: the bottleneck without them.
        clips: the features of frames in order.
        scratch: keeps the file.
    """
    split, latents = from_bytes(file, "the bottleneck")
    if latents.changes is not None or not clips:
        return file
    content = content_hash(array for clip in clips for features in clip for array in features)
    lengths = repr([len(clip) for clip in clips]).encode()
    name = key(DELTA, __version__, file, lengths, content)
    return scratch.get_or(name, lambda: to_bytes(split, fit_changes(latents, clips)))


def _layout(crossing: Sequence[CrossingTensor]) -> Layout:
    return Layout.of(
        [tensor.shape for tensor in crossing],
        [tensor.axis for tensor in crossing],
        [tensor.dtype for tensor in crossing],
    )
