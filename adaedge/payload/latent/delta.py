"""Features ⇄ one segment by way of a bottleneck: what changed against what both ends hold.

May import: ``errors``, ``payload.entropy``; of this part ``change_tables``, ``changes``, ``codec``, ``contexts``,
``tables``, ``transform``, of ``payload`` ``message``, ``reference``.

Both ends hold the whole numbers that were sent last, not what they were rounded from, so nothing drifts: what is coded
is the difference of whole numbers. Where a coefficient is near to what is held, nothing is sent of it and what is held
stays: only what moved costs.

The segment is an entropy coder's stack: its words from the top, each with its most significant byte first, without the
zeros that the first begins with. It holds of each sample a mode: 0 and the changes (see ``changes``), or 1, a shift of
classes, and the latents as ``bottleneck@`` codes them (see ``tables``). A refresh is of mode 1 throughout; a later
payload is too where that takes fewer bytes. Where nothing changed, the segment is empty.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
import numpy.typing as npt

from adaedge.arrays import Array
from adaedge.errors import CodecError, PayloadError
from adaedge.payload.entropy import TOTAL, FrequencyTables, Stack
from adaedge.payload.latent.change_tables import PACE, ChangeTables
from adaedge.payload.latent.changes import Progress, Sample, choose, pop, push
from adaedge.payload.latent.codec import LatentCodec
from adaedge.payload.latent.contexts import START, Contexts, contexts
from adaedge.payload.latent.tables import LIMIT, SHIFTS, Classes, shifted
from adaedge.payload.latent.transform import TransformCode
from adaedge.payload.message import Segment, TensorHeader
from adaedge.payload.reference import Encoded, Reference

_CHANGES, _WHOLE = 0, 1
_MODES = FrequencyTables(np.array([[TOTAL - 512, 512]]))
_SHIFTS = FrequencyTables(np.array([[TOTAL - 2048 * (len(SHIFTS) - 1)] + [2048] * (len(SHIFTS) - 1)]))
_ONE = np.zeros(1, np.uint32)
_WORD_BYTES = 4
_MOST = 0.75
"""Where fewer than this share of what is held changed, to send all again would hardly take fewer bytes."""


@final
@dataclass(frozen=True, slots=True, eq=False)
class DeltaReference:
    """The latents of a stream that both ends hold. It is never changed: each payload leaves another.

    Attributes:
        fingerprint: of the bottleneck.
        rate: whose steps the latents are in.
        held: int16 (N, coefficients), the latents that were sent last.
        activity: uint8 (N, coefficients), how often each changed lately.
        paces: of each sample, how many of its coefficients changed in the last frame, as a row.
    """

    fingerprint: int
    rate: int
    held: npt.NDArray[np.int16]
    activity: npt.NDArray[np.uint8]
    paces: tuple[int, ...]

    @property
    def nbytes(self) -> int:
        """About how much memory it takes."""
        return self.held.nbytes + self.activity.nbytes


@final
@dataclass(frozen=True, slots=True)
class DeltaCodec:
    """A bottleneck at one rate, of which a payload holds what changed.

    A payload of one rate can build upon one of another: what is held is rounded to the new step, and what that leaves
    is a change like any other.

    Attributes:
        codec: the bottleneck at this rate.
        folded: whether it decodes to coefficients, for a tail that the bottleneck's decoder is folded into.

    Raises:
        CodecError: if the bottleneck has no tables of changes.
    """

    codec: LatentCodec
    folded: bool = False

    def __post_init__(self) -> None:
        if self.codec.latents.changes is None:
            raise CodecError(
                "this bottleneck has no tables of changes: they are fitted on clips. Build it with the codec 'delta'"
                " and clips as `calibrate`, or fit them with `Bottleneck.fit_changes`."
            )

    def encode(
        self, tensors: Sequence[Array], axes: Sequence[int | None] = (), reference: Reference | None = None
    ) -> tuple[Encoded, DeltaReference]:
        """Headers and segment, and what both ends then hold.

        Raises:
            CodecError: if they are not the tensors that the bottleneck was fitted for, or not finite; or the reference
                is none of this bottleneck.
        """
        del axes  # the layout knows them
        if reference is not None and not self.accepts(reference):
            raise CodecError(f"{_described(reference)}, which this bottleneck does not build upon. Send a refresh.")
        latents = self.codec.latents
        analysed = latents.analyse(latents.layout.rows(tensors))
        batch = len(analysed)
        held = self._held(reference, batch) if isinstance(reference, DeltaReference) else None
        stack, after = Stack(), []
        for at in reversed(range(batch)):  # the first sample lies on top
            sample = analysed[at : at + 1]
            after.append(self._push(stack, None if held is None else held[at], sample))
        headers = tuple(TensorHeader(plane.dtype, (batch, *plane.shape)) for plane in latents.layout.planes)
        return (headers, (_to_bytes(stack),)), self._after(after[::-1])

    def decode(
        self,
        headers: Sequence[TensorHeader],
        segments: Sequence[Segment],
        max_bytes: int,
        reference: Reference | None = None,
    ) -> tuple[tuple[Array, ...], DeltaReference]:
        """The features, or coefficients; and what both ends then hold.

        Raises:
            PayloadError: if headers or segments are not what this codec writes, or need another reference.
        """
        batch = self.codec.batch(headers, max_bytes)
        if len(segments) != 1 or not batch:
            raise PayloadError(f"corrupted payload: one segment of a sample or more is due, {len(segments)} came")
        if reference is not None and not self.accepts(reference):
            raise PayloadError(f"stale reference: {_described(reference)}, which this bottleneck does not build upon")
        held = self._held(reference, batch) if isinstance(reference, DeltaReference) else None
        stack = _of_bytes(segments[0])
        after = [self._pop(stack, None if held is None else held[at]) for at in range(batch)]
        if not stack.is_empty():
            raise PayloadError("corrupted payload: its bytes do not decode with this bottleneck's tables")
        kept = self._after(after)
        values = self.codec.latents.dequantise(kept.held, self.codec.rate)
        if self.folded:
            return (values,), kept
        return self.codec.latents.layout.tensors(self.codec.latents.rebuild(values)), kept

    def accepts(self, reference: Reference) -> bool:
        """Whether it is of this bottleneck; at which rate does not matter."""
        return isinstance(reference, DeltaReference) and reference.fingerprint == self.codec.latents.fingerprint

    @property
    def _tables(self) -> ChangeTables:
        tables = self.codec.latents.changes
        assert tables is not None
        return tables

    @property
    def _contexts(self) -> Contexts:
        return contexts(self.codec.latents, self.codec.rate)

    def _held(self, reference: DeltaReference, batch: int) -> list[Progress] | None:
        """What is held of each sample, at this rate's step; ``None`` where there are more or fewer samples now."""
        if len(reference.held) != batch:
            return None
        held, activity = at_rate(self.codec.latents, reference, self.codec.rate)
        rows = zip(held, activity, reference.paces, strict=True)
        return [Progress(self._tables, self._contexts, *row) for row in rows]

    def _push(self, stack: Stack, held: Progress | None, analysed: Array) -> Sample:
        """A sample (1, positions, components): what changed, or all where nothing is held or that takes fewer bytes."""
        if held is None:
            return self._push_whole(stack, *self.codec.latents_of(analysed))
        latents, rate = self.codec.latents, self.codec.rate
        order, _ = latents.sent(rate)
        coded = choose(held, analysed.reshape(-1), order, 1 / float(latents.steps[rate]))
        if held.moved > _MOST * np.count_nonzero(held.held):
            values, classes, shift = self.codec.latents_of(analysed)
            if latents.tables.bits(values, classes) < self._tables.bits(coded):
                return self._push_whole(stack, values, classes, shift)
        push(stack, held, coded)
        stack.push([_CHANGES], _ONE, _MODES)
        return held.after()

    def _push_whole(self, stack: Stack, values: Array, classes: Classes, shift: int) -> Sample:
        """A sample's latents (1, coefficients) as they are."""
        self.codec.latents.tables.push(stack, values, classes)
        stack.push([shift % len(SHIFTS)], _ONE, _SHIFTS)
        stack.push([_WHOLE], _ONE, _MODES)
        return self._refreshed(values[0])

    def _pop(self, stack: Stack, held: Progress | None) -> Sample:
        (mode,) = stack.pop(_ONE, _MODES)
        if mode == _CHANGES:
            if held is None:
                raise PayloadError("stale reference: this payload holds changes, and what they build upon is not held")
            pop(stack, held)
            return held.after()
        (place,) = stack.pop(_ONE, _SHIFTS)
        shift = int(place) if place in SHIFTS else int(place) - len(SHIFTS)
        classes = shifted(self.codec.latents.sent(self.codec.rate)[1], shift)
        return self._refreshed(self.codec.latents.tables.pop(stack, classes, 1)[0])

    def _refreshed(self, values: Array) -> Sample:
        return values.astype(np.int16), np.full(len(values), START, np.uint8), PACE - 1

    def _after(self, samples: Sequence[Sample]) -> DeltaReference:
        held, activity, paces = zip(*samples, strict=True)
        fingerprint, rate = self.codec.latents.fingerprint, self.codec.rate
        return DeltaReference(fingerprint, rate, _stacked(held), _stacked(activity), paces)


def at_rate(latents: TransformCode, reference: DeltaReference, rate: int) -> tuple[Array, Array]:
    """The held latents and their activity at a rate: rounded to its step, of the coefficients that it sends.

    A division, a product and a rounding to whole numbers, each as IEEE 754 has it: the same on every machine.
    """
    held, activity = reference.held.astype(np.int32), reference.activity
    if rate == reference.rate:
        return held, activity
    count = len(latents.sent(rate)[0])
    ratio = float(latents.steps[reference.rate]) / float(latents.steps[rate])
    scaled = np.rint(held * ratio)
    limited = np.clip(scaled, -LIMIT, LIMIT).astype(np.int32)
    more = max(0, count - held.shape[1])
    wider = np.pad(limited[:, :count], ((0, 0), (0, more)))
    return wider, np.pad(activity[:, :count], ((0, 0), (0, more)), constant_values=START)


def _stacked(samples: Sequence[Array]) -> Array:
    return samples[0][None] if len(samples) == 1 else np.stack(samples)


def _to_bytes(stack: Stack) -> bytes:
    return stack.words().astype(">u4").tobytes().lstrip(b"\0")


def _of_bytes(segment: Segment) -> Stack:
    """A stack to pop from.

    Raises:
        PayloadError: if the first byte is 0, which is never sent.
    """
    data = bytes(segment)
    if data[:1] == b"\0":
        raise PayloadError("corrupted payload: its segment begins with a zero, which is never sent")
    whole = data.rjust(-(-len(data) // _WORD_BYTES) * _WORD_BYTES, b"\0")
    return Stack.of(np.frombuffer(whole, ">u4").astype(np.uint32))


def _described(reference: Reference) -> str:
    if not isinstance(reference, DeltaReference):
        return f"a {type(reference).__name__} is no reference of latents"
    return f"this reference is of the bottleneck {reference.fingerprint:08x}"
