"""The bundle while it is built: widths are captured, cut, verified and quantised one after another, then scored.

May import: ``errors``, ``operating_point``, ``payload``, ``bundle``, ``graph``, ``bottleneck``, ``engine``,
``metrics``, ``stream``; of this part all but ``building``.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain

import torch
from torch import nn

from adaedge.builder import choosing, keeping
from adaedge.builder.bottlenecks import MOST_SAMPLES, brought, fitted
from adaedge.builder.build_cache import BuildCache
from adaedge.builder.evaluation import Evaluate, against_full
from adaedge.builder.frames import ExampleCall
from adaedge.builder.measuring import measured
from adaedge.builder.nesting import structure_of
from adaedge.builder.partition import ENDS, BundleWriter, Exported, GraphPartitioner, export_width, find_points, outer
from adaedge.builder.quantising import MOST_SAMPLES as MOST_CALIBRATING
from adaedge.builder.quantising import int8_partitioner
from adaedge.builder.samples import Samples, evenly_spaced
from adaedge.builder.scoring import Scorer
from adaedge.builder.space import FP32, INT8, RAW, Space, check_fits, check_own, codecs_for, own_bottleneck
from adaedge.builder.verifying import verify, verify_folded
from adaedge.builder.widths import index_of, module_of
from adaedge.bundle import Bundle, Manifest, PointEntry
from adaedge.bundle.answers import AnswerFormat
from adaedge.bundle.batches import pieces
from adaedge.bundle.entries import Cut
from adaedge.engine import Arrays
from adaedge.errors import CodecError
from adaedge.graph import SplitPoint, Splittable
from adaedge.metrics import Metric
from adaedge.operating_point import INPUT, OUTPUT, Level, OperatingPoint
from adaedge.payload import BOTTLENECK, is_progressive
from adaedge.payload.answers import default_answer
from adaedge.stream import ChangeDetector

Progress = Callable[[str, int, int], None]


@dataclass(slots=True)
class Assembly:
    """A bundle in the making.

    Attributes:
        net: the network, or its `Elastic`.
        call: how it is called.
        space: what to build; widths and precisions are settled, splits and codecs when the full width is captured.
        named: what of it the user named; ``None`` for a dimension that was chosen.
        about: the manifest, without what is built.
        answer: name of the answer codec; ``None`` for the default of the outputs.
        samples: pictures and clips that int8 is calibrated on, and points are scored on.
        evaluate: scores a point; without it a metric does, where there are samples.
        metric: compares a point's answers with the full network's; ``None`` for the default of its outputs.
        scratch: keeps what took long.
        report: progress.
        detector: measures the changes that kept answers follow.
        plain: whether the user gave a plain network, whose narrower widths nobody has trained.
    """

    net: nn.Module
    call: ExampleCall
    space: Space
    named: Space
    about: Manifest
    answer: str | None
    samples: Samples
    evaluate: Evaluate | None
    metric: Metric | None
    scratch: BuildCache
    report: Progress
    plain: bool
    detector: ChangeDetector
    _parts: BundleWriter = field(default_factory=BundleWriter)
    _codecs: dict[str, tuple[str, ...]] = field(default_factory=dict)  # by split point, in execution order
    _weak: set[float] = field(default_factory=set)
    _fit_on: Sequence[int] = ()  # which samples bottlenecks are fitted on
    _held_out: Evaluate | None = None

    @property
    def widths(self) -> tuple[float, ...]:
        """Every width that is captured, the full one first: the ends need it."""
        return (1.0, *(width for width in self.space.widths or () if width != 1.0))

    def add(self, width: float) -> None:
        """Capture, cut and quantise a width; the full one comes first.

        Raises:
            SplitError: if a split point of the space does not exist.
            CodecError: if no codec of it can carry what crosses at one of them, or the answer codec fits no output.
            CaptureError: if the width cannot be captured or exported, or its graphs compute something else.
        """
        splittable = self._captured(width)
        exported = self._exported(splittable, width)
        if width == 1.0:
            self.about = self._described(splittable, exported)
        fp32 = GraphPartitioner(self._parts, exported)
        self._cut(exported, FP32, fp32, fp32)
        bundle = self._bundle(self._parts.cuts, ())
        self._verify(bundle, splittable, width)
        if width == 1.0:
            self._judge(bundle)
        if self._is_weak(bundle, width):
            self._weak.add(width)
            return
        given = self.samples.inputs
        inputs, chosen = (
            list(chain.from_iterable(pieces(sample, bundle.manifest) for sample in samples))
            for samples in (evenly_spaced(given, MOST_CALIBRATING), [given[at] for at in self._fit_on])
        )
        self._add_bottlenecks(splittable, exported, chosen, fp32)
        if self.space.holds(OUTPUT, width, INT8):
            with self._stage("quantise", width):
                partitioner = int8_partitioner(self._parts, exported, inputs, self.scratch)
            self._cut(exported, INT8, partitioner, fp32)

    def finished(self) -> Bundle:
        """The bundle: every point scored, and those that were chosen but can be best nowhere left out."""
        order = list(self._codecs)
        bottlenecks = self._parts.bottlenecks
        cuts = [
            bottlenecks.placed(cut)
            for cut in sorted(filter(self._is_held, self._parts.cuts), key=lambda cut: order.index(cut.split))
        ]
        entries = [
            PointEntry(OperatingPoint(cut.split, cut.level.width, cut.level.precision, codec, cut.level.network), 0.0)
            for cut in cuts
            for codec in bottlenecks.codecs(cut.bottleneck, self._codecs[cut.split])
        ]
        samples = self.samples if self.samples or self.evaluate else Samples.of(self.call.inputs)
        bundle = self._bundle(cuts, entries)
        verify_folded(bundle, self.call.inputs)
        judges = self.evaluate, self._held_out
        scored = measured(bundle, *judges, samples, self._parts.digest, self.scratch, self.report)
        macs = {(cut.split, cut.level): cut.head.macs if cut.head else 0 for cut in cuts}
        kept = choosing.pareto_filter(scored, {entry.point: macs[_place(entry.point)] for entry in scored}, self.named)
        places = {_place(entry.point) for entry in kept}
        used = {_place(entry.point) for entry in kept if is_progressive(entry.point.codec)}
        held = [cut for cut in cuts if (cut.split, cut.level) in places]
        bare = partial(replace, bottleneck=None, folded_tail=None)
        cuts = [cut if (cut.split, cut.level) in used else bare(cut) for cut in held]
        full = self._bundle(cuts, kept)
        self.about = keeping.described(self.about, full, self.space.kept, self.samples, self.detector, self.evaluate)
        return self._bundle(cuts, kept)

    @contextmanager
    def _stage(self, what: str, width: float) -> Iterator[None]:
        done, total = self.widths.index(width), len(self.widths)
        self.report(what, done, total)
        yield
        self.report(what, done + 1, total)

    def _captured(self, width: float) -> Splittable:
        with self._stage("capture", width):
            splittable = Splittable(self.call.wrap(module_of(self.net, width)), *self.call.example, dynamic=False)
        if width == 1.0:
            self._settle(splittable)
        return splittable

    def _settle(self, splittable: Splittable) -> None:
        """Settle split points and codecs by the captured full width."""
        if splittable.obstacle is not None and not {*(self.space.splits or ())} <= {*ENDS}:
            raise splittable.obstacle
        wrapped = self.call.wrapped
        points = [outer(point, wrapped) for point in splittable.points]
        with_clips = self.samples.has_clips
        self.space = choosing.with_splits(self.space, points, calibrated=bool(self.samples), clips=with_clips)
        self._parts.codecs = self.space.own_codecs
        otherwise = (RAW,) if self.named.codecs is None else ()
        found = [outer(point, wrapped) for point in find_points(splittable, self.space.splits or (), wrapped=wrapped)]
        check_own(found, self.space)
        self._codecs = {point.name: codecs_for(point, self.space, otherwise) for point in found}
        check_fits(found, self.named.codecs or ())

    def _described(self, splittable: Splittable, exported: Exported) -> Manifest:
        """What the model takes, returns and answers.

        Raises:
            CodecError: if the answer codec makes no answer of its outputs.
        """
        head, tail = splittable.at(INPUT)
        args, kwargs = self.call.example
        with torch.no_grad():
            structure = structure_of(tail(*head(*args, **kwargs)))
        outputs = exported.outputs
        answer = self.answer or default_answer(outputs, self.about.labels)
        found = replace(self.about, inputs=exported.inputs, outputs=outputs, answer=answer, structure=structure)
        AnswerFormat(found).specs  # noqa: B018 -- refuses what does not fit
        return found

    def _exported(self, splittable: Splittable, width: float) -> Exported:
        splits = [] if width not in (self.space.widths or ()) else self.space.splits or ()
        points = find_points(splittable, splits, wrapped=self.call.wrapped)
        with self._stage("export", width):
            return export_width(splittable, points, self.call, width=width, index=index_of(self.net, width))

    def _cut(self, exported: Exported, precision: str, heads: GraphPartitioner, tails: GraphPartitioner) -> None:
        """Cut one level at every point; what the space does not hold is dropped when all is scored."""
        for point in exported.points:
            if point.name == INPUT and (exported.width, precision) != (1.0, FP32):
                continue
            halves = heads.head(point.name), tails.tail(point.name)
            self._parts.cuts.append(
                Cut(
                    point.name,
                    Level(width=exported.width, precision=precision),
                    *halves,
                    point.payload_bytes,
                    point.aliases,
                )
            )

    def _judge(self, bundle: Bundle) -> None:
        """Settle what scores points, and which samples bottlenecks are fitted on: none of those that score them."""
        self._fit_on = evenly_spaced(range(len(self.samples.inputs)), MOST_SAMPLES)
        self._held_out = self.evaluate
        if self.evaluate is None:
            self.evaluate = self._held_out = evaluation = against_full(bundle, self.samples, self.metric)
            if evaluation is not None and BOTTLENECK in (self.space.codecs or ()):
                self._fit_on, judged = self.samples.divided(MOST_SAMPLES)
                self._held_out = evaluation.on(judged)

    def _add_bottlenecks(
        self, splittable: Splittable, exported: Exported, samples: Sequence[Arrays], partitioner: GraphPartitioner
    ) -> None:
        """Fit a bottleneck at every split point that is to have one; the user's own are taken as they are."""
        wanted = [point for point in exported.points if BOTTLENECK in self._codecs[point.name]]
        begun = self.widths.index(exported.width) * len(wanted)
        for done, point in enumerate(wanted, begun):
            self.report(BOTTLENECK, done, len(wanted) * len(self.widths))
            try:
                file = self._bottleneck(splittable, point, exported.width, samples)
            except CodecError as error:
                if self.named.codecs is not None:
                    raise
                warnings.warn(str(error), UserWarning, stacklevel=4)  # the caller of `build`
                continue
            if file:
                fold = partial(partitioner.folded_tail, point.name)
                self._parts.bottlenecks.add(point.name, exported.width, file, fold)
        if wanted:
            self.report(BOTTLENECK, begun + len(wanted), len(wanted) * len(self.widths))

    def _bottleneck(
        self, splittable: Splittable, point: SplitPoint, width: float, samples: Sequence[Arrays]
    ) -> bytes | None:
        codecs = self.space.codecs or ()
        own = own_bottleneck(point, codecs) if width == 1.0 else None
        if own is not None:
            features = self._bundle(self._parts.cuts, ()).head(point.name).run(self.call.inputs)
            return brought(own, point, self.call, features)
        if BOTTLENECK not in codecs:
            return None
        cut = self._parts.cut(point.name, Level(width=width))
        digest = self._parts.digest(cut.head) + self._parts.digest(cut.tail)
        inner = find_points(splittable, [point.name], wrapped=self.call.wrapped)[1].name
        return fitted(splittable, inner, point.name, self.call, samples, self.scratch, digest)

    def _verify(self, bundle: Bundle, splittable: Splittable, width: float) -> None:
        args, kwargs = self.call.example
        with torch.no_grad():
            expected = [tensor.numpy(force=True) for tensor in splittable.tap([])(*args, **kwargs)]
        verify(bundle, [cut for cut in self._parts.cuts if cut.level.width == width], self.call.inputs, expected)

    def _is_weak(self, bundle: Bundle, width: float) -> bool:
        """Whether this width was chosen, and is too bad to be built."""
        if width == 1.0 or self.named.widths is not None or not self.plain or not self.evaluate:
            return False
        full, local = (Scorer(bundle).accuracy(OperatingPoint(OUTPUT, one), self.evaluate) for one in (1.0, width))
        if choosing.usable(local, full):
            return False
        warnings.warn(
            f"width {width:g} is left out: its {local.metric} is {local.value:.3f}, the full width's {full.value:.3f}."
            " Train or repair an `Elastic` and build that, or name `widths` to build them as they are.",
            UserWarning,
            stacklevel=4,  # the caller of `build`
        )
        return True

    def _is_held(self, cut: Cut) -> bool:
        level = cut.level
        return level.width not in self._weak and self.space.holds(cut.split, level.width, level.precision)

    def _bundle(self, cuts: Sequence[Cut], entries: Sequence[PointEntry]) -> Bundle:
        return self._parts.bundle(self.about, cuts, entries)


def _place(point: OperatingPoint) -> tuple[str, Level]:
    return point.split, point.level
