"""The split points of a model's widths as cuts of one ONNX graph a level.

May import: ``errors``, ``operating_point``, ``graph``, ``payload``; of ``bundle`` the manifest.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, final

import onnx_ir as ir
import safetensors.numpy

from adaedge.builder.bottlenecks import Bottlenecks
from adaedge.builder.folding import fold
from adaedge.builder.frames import PREFIX, ExampleCall
from adaedge.builder.halves import cut, export, part, source, stored
from adaedge.builder.space import FP32
from adaedge.builder.weight_file import Index, NarrowerWeights, WeightFile, Weights
from adaedge.bundle import Bundle, Cut, Manifest, PointEntry, Subgraph, TensorSpec
from adaedge.bundle.entries import File
from adaedge.bundle.manifest import WEIGHTS
from adaedge.errors import CaptureError, SplitError
from adaedge.graph import CrossingTensor, SplitPoint, Splittable
from adaedge.operating_point import INPUT, OUTPUT, Level
from adaedge.payload import OwnCodec
from adaedge.payload.latent import TransformCode

ENDS = (INPUT, OUTPUT)


@dataclass(slots=True)
class BundleWriter:
    """What a bundle is made of.

    Attributes:
        cuts: of one level after another, each in execution order.
        graphs: path → bytes.
        weights: the tensors that the graphs share.
        bottlenecks: of split points and widths.
        codecs: the user's own.
    """

    cuts: list[Cut] = field(default_factory=list)
    graphs: dict[str, bytes] = field(default_factory=dict)
    weights: WeightFile = field(default_factory=WeightFile)
    bottlenecks: Bottlenecks = field(default_factory=Bottlenecks)
    codecs: Sequence[OwnCodec] = ()

    def cut(self, split: str, level: Level) -> Cut:
        """The halves at a split point and level."""
        return next(cut for cut in self.cuts if (cut.split, cut.level) == (split, level))

    def digest(self, half: Subgraph | None) -> bytes:
        """What identifies a half: its graph and its weights."""
        if half is None:
            return b""
        digest = hashlib.sha256(self.graphs[half.graph])
        for name in half.weights:
            digest.update(self.weights.digests[name])
        return digest.digest()

    def bundle(self, about: Manifest, cuts: Sequence[Cut], entries: Sequence[PointEntry]) -> Bundle:
        """The bundle of these cuts and points, and of nothing that none of them needs.

        Args:
            about: the manifest, without what is built.
            cuts: some of ``self.cuts``.
            entries: the points at them.
        """
        halves = [half for cut in cuts for half in (cut.head, cut.tail, cut.folded_tail) if half]
        names = {name for half in halves for name in half.weights}
        slices = {name: which for name, which in self.weights.slices.items() if name in names}
        stored = names - {*slices} | {which.tensor for which in slices.values()}
        tensors = {name: array for name, array in self.weights.tensors.items() if name in stored}
        files = {path: self.graphs[path] for path in dict.fromkeys(half.graph for half in halves)}
        files |= {cut.bottleneck: self.bottlenecks.files[cut.bottleneck] for cut in cuts if cut.bottleneck}
        files[WEIGHTS] = safetensors.numpy.save(tensors)
        hashes = {path: File(hashlib.sha256(data).hexdigest(), len(data)) for path, data in files.items()}
        manifest = replace(about, files=hashes, cuts=tuple(cuts), points=tuple(entries), slices=slices)
        return Bundle(manifest, files, codecs=self.codecs)


@dataclass(frozen=True, slots=True)
class Exported:
    """One width of a model as one graph, which also returns what crosses at each of its split points.

    Attributes:
        width: fraction of channels.
        model: the graph, its weights inside; its outputs are the model's, then what crosses at one point after another.
        points: the split points and both ends, in execution order, named as the user's model has them.
        index: name of a tensor → for each dimension the positions of the full one that this width keeps.
    """

    width: float
    model: ir.Model
    points: tuple[SplitPoint, ...]
    index: Mapping[str, Index] = field(default_factory=dict)

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """The model's inputs."""
        return tuple(map(_spec, self.model.graph.inputs))

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """The model's outputs, flattened."""
        return tuple(map(_spec, self.places(self.values)[OUTPUT]))

    @property
    def values(self) -> list[ir.Value]:
        """What the graph returns, or what that is a plain copy of."""
        return [source(value) for value in self.model.graph.outputs]

    def places(self, values: Sequence[ir.Value]) -> dict[str, list[ir.Value]]:
        """Name of each point but ``input`` → those of ``values`` that cross there; at ``output`` those returned there.

        Args:
            values: for each output of the graph, in their order.
        """
        inner = [point for point in self.points if point.name not in ENDS]
        returned = list(values)
        crossing = [returned.pop() for point in inner for _ in point.crossing][::-1]
        return {point.name: [crossing.pop(0) for _ in point.crossing] for point in inner} | {OUTPUT: returned}


def export_width(
    splittable: Splittable, points: Sequence[SplitPoint], call: ExampleCall, *, width: float, index: Mapping[str, Index]
) -> Exported:
    """Export a captured width once, with all that crosses among its outputs.

    Args:
        splittable: the captured width.
        points: where it will be cut; the ends among them.
        call: how it is called.
        width: fraction of channels.
        index: see `Exported`.

    Raises:
        CaptureError: if the model cannot be exported to ONNX.
    """
    # The tap's own graph takes and returns flat tensors, whatever the model's call looks like.
    tap: Any = splittable.tap([point.name for point in points if point.name not in ENDS])
    model = export(tap.graph, call.tensors)
    if call.wrapped:
        _give_outer_names(model.graph)
    return Exported(width, model, tuple(outer(point, call.wrapped) for point in points), index)


def outer(point: SplitPoint, wrapped: bool) -> SplitPoint:
    """A split point, named as the user's model has it."""
    aliases = tuple(outer_name(alias, wrapped) for alias in point.aliases if not (wrapped and alias == "net"))
    return replace(point, name=outer_name(point.name, wrapped), aliases=aliases)


@final
class GraphPartitioner:
    """Cuts one level of a model into halves, each once.

    Args:
        parts: takes graphs and weights.
        exported: the width.
        precision: number format of the terminal's arithmetic.
        model: the width in that precision; without one, the exported graph itself.
        values: for each output of the exported graph, where it is in ``model``.
    """

    def __init__(
        self,
        parts: BundleWriter,
        exported: Exported,
        precision: str = FP32,
        model: ir.Model | None = None,
        values: Sequence[ir.Value] | None = None,
    ) -> None:
        self._parts, self._model = parts, model or exported.model
        self._specs = {INPUT: exported.inputs, OUTPUT: exported.outputs}
        self._places = exported.places(exported.values if values is None else values)
        self._places[INPUT] = list(self._model.graph.inputs)
        self._points = {point.name: (at, point) for at, point in enumerate(exported.points)}
        self._halves: dict[str, Subgraph] = {}
        level = _level_name(exported.width, precision)
        self._folder = f"graphs/{level}/" if level else "graphs/"
        self._weights: Weights = parts.weights
        if level:
            self._weights = NarrowerWeights(parts.weights, f"@{level}", exported.index)

    def head(self, split: str) -> Subgraph | None:
        """What runs before a split point; ``None`` at ``input``."""
        return None if split == INPUT else self._half(INPUT, split)

    def tail(self, split: str) -> Subgraph | None:
        """What runs after a split point; ``None`` at ``output``."""
        return None if split == OUTPUT else self._half(split, OUTPUT)

    def folded_tail(self, split: str, latents: TransformCode) -> Subgraph | None:
        """What runs after a split point, from a bottleneck's coefficients; ``None`` where its decoder cannot fold."""
        tail = self.tail(split)
        if tail is None:
            return None
        (batch, *_) = tail.inputs[0].shape
        model = part(self._model, self._places[split], self._places[OUTPUT])
        more = fold(model.graph, latents, batch)
        if more is None:
            return None
        path = tail.graph.removesuffix("-tail.onnx") + "-folded.onnx"
        self._parts.graphs[path], names = stored(model, self._weights)
        inputs = (TensorSpec(str(model.graph.inputs[0].name), "float32", (batch, *latents.spread.shape)),)
        return Subgraph(path, inputs, tail.outputs, tail.macs + more, names)

    def _half(self, start: str, end: str) -> Subgraph:
        path = self._path(start, end)
        if path not in self._halves:
            macs = self._points[end][1].head_macs - self._points[start][1].head_macs
            data, names = cut(self._model, self._places[start], self._places[end], self._weights)
            self._parts.graphs[path] = data
            self._halves[path] = Subgraph(path, self._specs_at(start), self._specs_at(end), macs, names)
        return self._halves[path]

    def _path(self, start: str, end: str) -> str:
        if (start, end) == ENDS:
            return f"{self._folder}whole.onnx"
        name, side = (end, "head") if start == INPUT else (start, "tail")
        return f"{self._folder}{self._points[name][0]}-{re.sub(r'[^A-Za-z0-9.-]', '_', name)}-{side}.onnx"

    def _specs_at(self, name: str) -> tuple[TensorSpec, ...]:
        if name not in self._specs:
            self._specs[name] = tuple(map(_crossing_spec, self._places[name], self._points[name][1].crossing))
        return self._specs[name]


def _level_name(width: float, precision: str) -> str:
    """What sets a level's files and weights apart; nothing for the full width in fp32.

    Example:
        >>> _level_name(1.0, "fp32"), _level_name(0.5, "int8")
        ('', 'w0.5-int8')
    """
    narrow = [] if width == 1.0 else [f"w{width!r}"]
    return "-".join(narrow + ([] if precision == FP32 else [precision]))


def find_points(splittable: Splittable, names: Sequence[str], *, wrapped: bool) -> list[SplitPoint]:
    """The split points of these names and both ends, each once, in execution order.

    Args:
        splittable: the captured model.
        names: as the user's model has them.
        wrapped: whether the user's model is inside a `Preprocessed`.

    Raises:
        SplitError: if there is no such split point.
    """
    wanted = {_find(splittable, name, wrapped) for name in (INPUT, *names, OUTPUT)}
    return [point for point in splittable.points if point in wanted]


def _find(splittable: Splittable, name: str, wrapped: bool) -> SplitPoint:
    if not wrapped or name in (INPUT, OUTPUT):
        return splittable.point(name)
    try:
        # An operator of the model itself is `:add`, inside a wrapper `net:add`.
        return splittable.point(PREFIX.rstrip(".") + name if name.startswith(":") else PREFIX + name)
    except SplitError as error:
        raise SplitError(re.sub(rf"(?<![\w.]){re.escape(PREFIX)}", "", str(error))) from error


def outer_name(name: str, wrapped: bool) -> str:
    """A name as the user's model has it."""
    return re.sub(r"^net(\.|(?=:))", "", name) if wrapped else name


def _give_outer_names(graph: ir.Graph) -> None:
    """Name the weights, and what is one transposed, as the user's model does, where no other value has that name."""
    values = ir.convenience.create_value_mapping(graph)
    weights = [name for name in values if name.removesuffix(".T") in graph.initializers and name.startswith(PREFIX)]
    free = {name: outer for name in weights if (outer := name.removeprefix(PREFIX)) not in values}
    ir.convenience.rename_values([values[name] for name in free], list(free.values()))


def _spec(value: ir.Value) -> TensorSpec:
    if value.dtype is None or value.shape is None or not value.shape.is_static():
        raise CaptureError(
            f"the model's {value.name!r} has no fixed type and shape, which a bundle needs. Build it from an example"
            " whose outputs have the same shape for every input."
        )
    return TensorSpec(str(value.name), value.dtype.numpy().name, tuple(map(int, value.shape.numpy())))


def _crossing_spec(value: ir.Value, tensor: CrossingTensor) -> TensorSpec:
    return TensorSpec(str(value.name), tensor.dtype, tensor.shape, tensor.axis)
