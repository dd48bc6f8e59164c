"""Bundle: what is deployed, ready to run.

May import: ``errors``, ``operating_point``, ``payload``, ``engine``; of this part all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, final

import numpy as np
import numpy.typing as npt

from adaedge.arrays import Array
from adaedge.bundle.batches import join, pieces
from adaedge.bundle.contents import BundleContents
from adaedge.bundle.entries import Subgraph
from adaedge.bundle.frames import inputs_of, prepare
from adaedge.bundle.route import Route
from adaedge.engine import Arrays, Engine
from adaedge.errors import BundleError, CodecError, PayloadError
from adaedge.operating_point import Level, OperatingPoint
from adaedge.payload import Codec, Message, Reference, Request, StreamPosition
from adaedge.payload.answers import wire as answer_wire
from adaedge.payload.answers.wire import AnswerHeader
from adaedge.payload.messages import read_message

_FULL = Level()


@final
class Bundle(BundleContents):
    """A model with its split points, ready to run. Thread-safe; nothing from its files is ever executed.

    The graphs take the example's batch (normally 1) and no other; `run` takes any multiple of it.

    Args:
        manifest: what the bundle holds.
        files: path → bytes of every file that the manifest names.
        threads: threads inside an operator.
        codecs: codecs from outside the package that points of the bundle have.
        engine: what runs its graphs: ``onnxruntime``, or ``openvino``, which needs the extra of that name.

    Attributes:
        codecs: what turns features at a point into bytes and back.
        answers: how the model's outputs become answers, and how these are written and nested.
        engine_name: what runs its graphs.

    Raises:
        BundleError: if there is no such engine.
        MissingExtraError: if the engine is not installed.

    Example:
        >>> import adaedge, torch
        >>> bundle = adaedge.build(torch.nn.Linear(4, 2).eval(), (torch.zeros(1, 4),), adaedge.Space([]))
        >>> [str(point) for point in bundle.points]
        ['input/w1/fp32/raw', 'output/w1/fp32/raw']
        >>> (answer,) = bundle.run(OperatingPoint("output"), (np.ones((1, 4), np.float32),))
        >>> answer.shape
        (1, 2)
    """

    def route(self, point: OperatingPoint) -> Route:
        """The point bound to its head, codec and tail, once: whoever runs many frames at a point asks for this first.

        Raises:
            BundleError: if the bundle does not hold the point's split point at its level.
            CodecError: if there is no such codec, or the bundle has no bottleneck there.
        """
        return self._route(point)

    def head(self, split: str, level: Level = _FULL) -> Engine:
        """The terminal's half; at ``input`` it returns its inputs. Loaded when it is first asked for, then kept.

        Raises:
            BundleError: if the bundle does not hold it.
        """
        return self.engine(self.manifest.cut(split, level).head)

    def tail(self, split: str, level: Level = _FULL) -> Engine:
        """The half that finishes the frame; at ``output`` it returns its inputs. Else as `head`."""
        return self.engine(self.manifest.cut(split, level).tail)

    def engine(self, half: Subgraph | None) -> Engine:
        """The engine of a half; for ``None``, one that returns its inputs. Loaded on first use, then kept."""
        return self._engines.of(half)

    def onnx(self, half: Subgraph) -> bytes:
        """A half as an ONNX file with its weights inside, for other programs: TensorRT's, a viewer."""
        return self._engines.whole(half)

    def codec(self, point: OperatingPoint) -> Codec:
        """The codec of the features at a point. A bottleneck is loaded when it is first asked for.

        Raises:
            BundleError: if the bundle does not hold the point's split point at its level.
            CodecError: if there is no such codec, or the bundle has no bottleneck there.
        """
        return self.route(point).codec

    def preprocess(self, frame: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
        """A uint8 frame (H, W, 3) of any size as the uint8 input (1, height, width, 3), or a frame of its window.

        Raises:
            BundleError: if the model's input is not an image.
            SourceError: if it is not such a frame.
        """
        if self.manifest.preprocessing is None:
            raise BundleError(
                f"{self.manifest.model or 'this bundle'} does not take images; pass its inputs as they are"
            )
        return prepare(frame, self.manifest.preprocessing)

    def inputs_of(self, sample: Any) -> Arrays:
        """A sample as the model's inputs: a frame of any size is preprocessed, a tuple of arrays is taken as it is.

        Where the model takes a window, a frame alone fills it, and of a clip its last frames do.

        Raises:
            SourceError: if the model takes images, and it is neither a frame, a clip nor a tuple.
        """
        return inputs_of(sample, self.manifest.preprocessing)

    def run(self, point: OperatingPoint, inputs: Sequence[Array]) -> Arrays:
        """The answer by way of an operating point: head, payload there and back, tail, and what the bundle answers.

        With the answer codec ``raw`` those are the model's outputs. `AnswerFormat.nested` nests them as the model does.

        Args:
            point: which way; the codec really encodes and decodes.
            inputs: the model's inputs; a leading dimension that is a multiple of the example's batch is run batch by
                batch, where every input and output has the batch as its first dimension.

        Raises:
            BundleError: if the bundle does not hold the point, or the inputs are not the model's.
            CodecError: if the codec cannot carry what crosses there, or the answer codec the outputs.
        """
        route = self.route(point)
        return join([self._run_piece(route, piece) for piece in pieces(inputs, self.manifest)])

    def _run_piece(self, route: Route, inputs: Sequence[Array]) -> Arrays:
        features = route.head.run(inputs)
        if route.is_local:
            return self.answers.reduce(features)
        return self.answer(self.encode(route.point, features))[1]

    def encode(
        self, point: OperatingPoint, features: Sequence[Array], *, sequence: int = 0, deadline_s: float = 0.0
    ) -> bytes:
        """Encode a payload of no stream, as `encode_next`: it stands by itself, and nothing is held of it."""
        return self.encode_next(point, features, StreamPosition(0, sequence, 0, deadline_s))[0]

    def encode_next(
        self,
        point: OperatingPoint,
        features: Sequence[Array],
        position: StreamPosition,
        reference: Reference | None = None,
    ) -> tuple[bytes, Reference | None]:
        """The payload of a stream's next frame, and what the terminal holds once the edge server has it.

        Args:
            point: where they cross.
            features: what its head returned; at ``input`` the inputs themselves.
            position: the frame's, in its stream.
            reference: what both ends hold of the frame ``position.base``; ``None`` for a refresh.

        Raises:
            BundleError: if the bundle does not hold the point.
            CodecError: if the codec cannot carry them, or the point sends nothing.
        """
        return self.route(point).encode(features, position, reference)

    def decode(self, data: bytes | bytearray | memoryview) -> tuple[Message, Arrays]:
        """The message and the features in a payload that stands by itself, as the tail at ``message.point`` takes them.

        A bottleneck's payload that lost its end decodes at a lower rate; the message says how many segments were lost.

        Raises:
            PayloadError: if it is truncated, foreign, oversized, corrupted, or not of a point of this bundle.
            StaleReferenceError: if it builds upon another payload.
        """
        message = self.read(data)
        return message, self._route_of(message).decode(message, self.max_payload_bytes)

    def read(self, data: bytes | bytearray | memoryview) -> Message:
        """The message in a payload, its lengths and checksums compared; what it carries is still bytes.

        Raises:
            PayloadError: if it is truncated, foreign, oversized, corrupted, or not of a point of this bundle.
        """
        message = read_message(data, bundle=self.digest, max_bytes=self.max_payload_bytes)
        return replace(message, point=self._route_of(message).point)

    def _route_of(self, message: Message) -> Route:
        try:
            point = self.resolve(message.point)
        except BundleError as error:
            raise PayloadError(f"a payload for an operating point that is not here: {error}") from error
        if point.is_local:
            raise PayloadError(f"a payload for {message.point}, which sends nothing")
        try:
            return self.route(point)
        except CodecError as error:
            raise PayloadError(f"a payload that this adaedge cannot read: {error}") from error

    def receive(self, message: Message, reference: Reference | None = None) -> tuple[Engine, Arrays, Reference | None]:
        """The engine to run for a message, its inputs, and the reference that this end holds for the next one.

        That is the tail on features, or a bottleneck's on its coefficients.

        Args:
            message: what `read` returned.
            reference: what this end holds of the payload that it builds upon.

        Raises:
            PayloadError: if its bytes contradict themselves or the bundle.
            StaleReferenceError: if it builds upon a payload that is not held.
        """
        return self._route_of(message).receive(message, reference, self.max_payload_bytes)

    def answer(self, data: bytes | bytearray | memoryview) -> tuple[Message, Arrays]:
        """The message, and the answer to a payload that stands by itself; raises as `decode`."""
        message = self.read(data)
        engine, carried, _ = self.receive(message)
        return message, self.answers.reduce(engine.run(carried))

    def encode_answer(self, message: Message, answer: Sequence[Array], *, edge_s: float, **more: Any) -> bytes:
        """The answer to ``message``, as ``answers.reduce`` makes it, as it crosses; ``more`` as in `AnswerHeader`."""
        header = AnswerHeader(edge_s, lost_segments=message.lost_segments, **more)
        return answer_wire.encode(message.request, header, self.answers.write(answer))

    def decode_answer(self, data: bytes | bytearray | memoryview, request: Request) -> tuple[AnswerHeader, Arrays]:
        """The header of an answer, and the answer.

        Args:
            data: what was received.
            request: what was asked: of a payload's `request`, or a `Message`'s.

        Raises:
            PayloadError: if it is truncated, foreign, oversized, corrupted, or the answer to something else.
        """
        return self.answers.read(data, request)
