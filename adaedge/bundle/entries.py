"""What a manifest lists: files, tensors, graphs, cuts, operating points and how good they are.

May import: ``errors``, ``operating_point``.
"""

from __future__ import annotations

from dataclasses import dataclass

from adaedge.errors import BundleError
from adaedge.operating_point import Level, OperatingPoint


@dataclass(frozen=True, slots=True)
class File:
    """A file of the bundle: its SHA-256 in hexadecimal, and its length."""

    sha256: str
    length_bytes: int


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """A tensor that enters, leaves or crosses: the graph's name for it, NumPy type, shape at the example's batch.

    Attributes:
        axis: the channel dimension, along which a codec keeps one range per channel; ``None`` where there is none.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    axis: int | None = None


@dataclass(frozen=True, slots=True)
class Slice:
    """A weight of a narrower level: part of a tensor that is stored once, for the widest.

    Attributes:
        tensor: name in ``weights.safetensors``.
        kept: for each dimension, what is kept of it: ``start, stop, start, stop, …`` of the runs of positions, in their
            order; empty where all is kept. A prefix of n is ``(0, n)``. Empty as a whole: all of the tensor.
    """

    tensor: str
    kept: tuple[tuple[int, ...], ...]


@dataclass(frozen=True, slots=True)
class Subgraph:
    """One graph, for an engine to load.

    Attributes:
        graph: path of the ONNX file inside the bundle.
        inputs: what it takes, in its order.
        outputs: what it returns, in its order.
        macs: multiply-accumulates of one run, at the example's batch.
        weights: names of the initializers that it takes: each is one of the manifest's ``slices``, or a whole tensor of
            ``weights.safetensors``.
    """

    graph: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    macs: int
    weights: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class IncrementalHalf:
    """A head, or a tail, as segments of which only what changed is computed.

    Attributes:
        plan: path of the file that says how the segments go together, as ``stream.incremental.storage`` writes it.
        segments: in order; each takes boxes of any size where the plan says so.
        whole: takes the half's inputs, and returns every other tensor that is held between frames.
        plain: takes the half's inputs, and returns what the half does; ``None`` where the half itself does that, bit
            for bit as its precision has it.
        tolerance: the largest change that is not propagated: a share of a tensor's own spread; 0 propagates all.
        audit_every: one frame in so many is computed as a whole as well; 0 for none.
        floor: the least cosine between the two; below it the tolerance is halved.
    """

    plan: str
    segments: tuple[Subgraph, ...]
    whole: Subgraph
    plain: Subgraph | None = None
    tolerance: float = 0.0
    audit_every: int = 0
    floor: float = 0.98

    @property
    def graphs(self) -> tuple[Subgraph, ...]:
        """All of its graphs."""
        return (*self.segments, self.whole, *((self.plain,) if self.plain else ()))


@dataclass(frozen=True, slots=True)
class Cut:
    """The two halves of the model at one split point and level.

    The precision is the terminal's: the tail is the fp32 tail of the same width.

    Attributes:
        split: name of the split point.
        level: network, width and precision.
        head: what the terminal runs; ``None`` at ``input``.
        tail: what finishes the frame; ``None`` at ``output``.
        payload_bytes: bytes of the crossing tensors in their own type, without a header.
        aliases: other module paths that end at this split point.
        bottleneck: path of the file of the bottleneck that was fitted here, at this width; ``None`` where none was.
        folded_tail: the tail with the bottleneck's decoder in its first operator, which takes coefficients instead of
            features; ``None`` where there is no bottleneck, or no operator that it folds into.
        incremental: the head as segments; ``None`` where it has none.
        incremental_tail: the tail as segments, for codecs with a state; ``None`` where it has none.
    """

    split: str
    level: Level
    head: Subgraph | None
    tail: Subgraph | None
    payload_bytes: int
    aliases: tuple[str, ...] = ()
    bottleneck: str | None = None
    folded_tail: Subgraph | None = None
    incremental: IncrementalHalf | None = None
    incremental_tail: IncrementalHalf | None = None

    @property
    def incrementals(self) -> tuple[IncrementalHalf, ...]:
        """The halves that it has as segments."""
        return tuple(half for half in (self.incremental, self.incremental_tail) if half)

    @property
    def graphs(self) -> tuple[Subgraph, ...]:
        """All of its graphs."""
        halves = tuple(half for half in (self.head, self.tail, self.folded_tail) if half)
        return (*halves, *(graph for half in self.incrementals for graph in half.graphs))


@dataclass(frozen=True, slots=True)
class Accuracy:
    """How good a point was measured to be.

    Attributes:
        metric: its name, as ``adaedge.metrics`` has it; ``accuracy`` for a bare fraction.
        value: in [0, 1], higher is better.
        samples: number of samples.
        low: lower end of the 95 % interval.
        high: upper end of it.

    Raises:
        BundleError: if the value is no fraction.
    """

    metric: str
    value: float
    samples: int
    low: float
    high: float

    def __post_init__(self) -> None:
        if not 0 <= self.value <= 1:
            raise BundleError(f"accuracy is a fraction in [0, 1]; got {self.value}. Divide a percentage by 100.")


@dataclass(frozen=True, slots=True)
class PointEntry:
    """An operating point of the bundle and what was measured of it.

    Attributes:
        point: the point.
        payload_bytes: its mean payload with header; of a codec with a state, that of a refresh.
        accuracy: how good it is; ``None`` where that was not measured.
        next_bytes: of a codec with a state, the mean payload that builds upon the one before, at each of the manifest's
            ``changes`` below 1.
    """

    point: OperatingPoint
    payload_bytes: float
    accuracy: Accuracy | None = None
    next_bytes: tuple[float, ...] = ()
