"""Route: an operating point of a bundle, bound to its head, codec, tail and answer codec.

May import: ``errors``, ``operating_point``, ``payload``, ``engine``; of this part ``answers``, ``batches``, ``codecs``,
``engines``, ``entries``, ``manifest``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import final

from adaedge.arrays import Array
from adaedge.bundle.answers import AnswerFormat
from adaedge.bundle.batches import check
from adaedge.bundle.codecs import CodecTable, on_edge
from adaedge.bundle.engines import EngineTable
from adaedge.bundle.entries import IncrementalHalf, Subgraph
from adaedge.bundle.manifest import Manifest
from adaedge.engine import Arrays, Engine
from adaedge.errors import BundleError, CodecError, PayloadError
from adaedge.operating_point import OUTPUT, OperatingPoint
from adaedge.payload import Message, Reference, Request, StreamPosition, wire
from adaedge.payload.answers.wire import AnswerHeader
from adaedge.payload.messages import read_tensors


@dataclass(frozen=True, slots=True, eq=False)
class IncrementalEngines:
    """The engines that run a head or a tail in parts.

    Attributes:
        about: what the manifest says of it.
        plan: bytes of its plan.
        segments: what computes each segment.
        whole: the half's inputs → all other tensors that are held between frames.
        plain: the half's inputs → what crosses, or the outputs.
    """

    about: IncrementalHalf
    plan: bytes
    segments: tuple[Engine, ...]
    whole: Engine
    plain: Engine


@final
class Route:
    """The way of a frame at one operating point: head, payload, what an edge server runs, answer. Thread-safe.

    `Bundle.route` makes it once for a point. Its codec is there from then on; engines are loaded when they are first
    used, then kept.

    Args:
        point: the operating point.
        manifest: what the bundle holds.
        engines: what runs its halves.
        codecs: its codecs.
        answers: how it answers.

    Attributes:
        point: the point, its split point by the name that the bundle uses.
        is_local: whether the terminal answers alone: then nothing can be encoded.
        codec: what turns features into segments and back.
        is_stateful: whether its payloads build upon each other.
        edge_codec: what an edge server decodes with: the same, or to a bottleneck's coefficients only.
        edge_half: what an edge server runs: the tail, or the one that a bottleneck's decoder is folded into.

    Raises:
        BundleError: if the bundle does not hold the point's split point at its level, or no incremental head there.
        CodecError: if there is no such codec, or the bundle has no bottleneck there.
    """

    def __init__(
        self, point: OperatingPoint, manifest: Manifest, engines: EngineTable, codecs: CodecTable, answers: AnswerFormat
    ) -> None:
        self._cut = manifest.cut(point.split, point.level)
        self.point = replace(point, split=self._cut.split)
        if point.incremental and self._cut.incremental is None:
            raise BundleError(
                f"this bundle has no incremental head at {self._cut.split!r}, {point.level}; build it with"
                " `Space(incremental=(False, True))` (`--incremental`)."
            )
        self.is_local = point.is_local
        self.codec = codecs.of(self._cut, point)
        self.is_stateful = not self.is_local and codecs.is_stateful(point)
        self.edge_codec, self.edge_half = on_edge(self._cut, point, self.codec)
        self._manifest, self._engines, self._answers = manifest, engines, answers
        self._crossing = manifest.outputs if self._cut.tail is None else self._cut.tail.inputs
        self._axes = [spec.axis for spec in self._crossing]

    @cached_property
    def head(self) -> Engine:
        """What the terminal runs; at ``input`` it returns its inputs."""
        return self._engines.of(self._cut.head)

    @cached_property
    def finish(self) -> Engine:
        """What turns the head's features into the outputs when the edge server does not.

        At ``input`` that is the local model where the bundle has one: it is loaded anyway.
        """
        return self._engines.of(self._finishing())

    @property
    def incremental(self) -> IncrementalEngines | None:
        """What runs the head in parts; ``None`` at a point that is not incremental."""
        return self._in_parts(self._cut.incremental, self._cut.head)

    @property
    def incremental_tail(self) -> IncrementalEngines | None:
        """What runs the tail in parts; ``None`` where `has_incremental_tail` is not so."""
        return self._in_parts(self._cut.incremental_tail, self._cut.tail) if self.has_incremental_tail else None

    @property
    def has_incremental_tail(self) -> bool:
        """Whether an edge server computes only what changed: at an incremental point whose codec has a state."""
        return self.point.incremental and self.is_stateful and self._cut.incremental_tail is not None

    def _in_parts(self, half: IncrementalHalf | None, plain: Subgraph | None) -> IncrementalEngines | None:
        if not self.point.incremental or half is None:
            return None
        plain = half.plain or plain
        assert plain is not None  # there is no incremental head at `input`, and no such tail at `output`
        engines = [self._engines.of_part(segment) for segment in half.segments]
        ends = self._engines.of_part(half.whole), self._engines.of_part(plain)
        return IncrementalEngines(half, self._engines.file(half.plan), tuple(engines), *ends)

    def load(self) -> None:
        """Load the engines of head and finish: a frame that asks for them then need not wait."""
        for half in (self._cut.head, self._finishing()):
            self._engines.of(half)
        _ = self.incremental

    def _finishing(self) -> Subgraph | None:
        return self._local_model() if self._cut.head is None else self._cut.tail

    def _local_model(self) -> Subgraph | None:
        try:
            return self._manifest.cut(OUTPUT, self.point.level).head
        except BundleError:  # no local model at this width and precision: the tail is the whole model as well
            return self._cut.tail

    @cached_property
    def edge(self) -> Engine:
        """What runs the edge server's half."""
        return self._engines.of(self.edge_half)

    def encode(
        self, features: Sequence[Array], position: StreamPosition, reference: Reference | None = None
    ) -> tuple[bytes, Reference | None]:
        """The payload of a stream's next frame; arguments, errors and what it returns as `Bundle.encode_next`."""
        if self.is_local:
            raise CodecError(f"{self.point} is local: it sends nothing. Encode at a split point before {OUTPUT!r}.")
        (headers, segments), kept = self.codec.encode(features, self._axes, reference)
        base = 0 if reference is None else position.base
        message = Message(
            self._manifest.digest,
            position.sequence,
            self.point,
            headers,
            segments,
            position.stream,
            base,
            position.deadline_s,
        )
        return wire.encode(message), kept

    def decode(self, message: Message, max_bytes: int) -> Arrays:
        """The features in a payload that stands by itself, as the tail takes them; raises as `Bundle.decode`."""
        features, _ = read_tensors(message, self.codec, max_bytes=max_bytes)
        check(features, self._crossing, PayloadError, f"features at {self.point.split!r}")
        return features

    def receive(
        self, message: Message, reference: Reference | None, max_bytes: int
    ) -> tuple[Engine, Arrays, Reference | None]:
        """What an edge server runs for a message, on what, and what it holds from then on; see `Bundle.receive`."""
        carried, kept = read_tensors(message, self.edge_codec, reference, max_bytes=max_bytes)
        taken = self._manifest.outputs if self.edge_half is None else self.edge_half.inputs
        check(carried, taken, PayloadError, f"features at {self.point.split!r}")
        return self.edge, carried, kept

    def decode_answer(self, data: bytes, position: StreamPosition) -> tuple[AnswerHeader, Arrays]:
        """What an answer to the payload at a position says, and the answer; raises as `Bundle.decode_answer`."""
        request = Request(self._manifest.digest, position.stream, position.sequence, self.point)
        return self._answers.read(data, request)
