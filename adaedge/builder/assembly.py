"""The bundle while it is built: levels are captured, cut, verified and quantised one after another, then scored.

May import: ``errors``, ``operating_point``, ``payload``, ``bundle``, ``graph``, ``bottleneck``, ``engine``, ``stream``,
``metrics``; of this part all but ``bundle_build``.
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

from adaedge.builder import kept_report, point_choice
from adaedge.builder.bottlenecks import MOST_MOVING, MOST_SAMPLES, fit_bottleneck, import_bottleneck, with_changes
from adaedge.builder.build_cache import BuildCache
from adaedge.builder.bundle_writer import BundleWriter
from adaedge.builder.evaluation import Evaluate, against_full
from adaedge.builder.fitting_codecs import own_bottleneck
from adaedge.builder.frames import ExampleCall
from adaedge.builder.incremental_heads import add_heads, points_at
from adaedge.builder.interface import with_interface
from adaedge.builder.measurement import evaluate
from adaedge.builder.networks import Network, settled, telling
from adaedge.builder.outer_names import find_points
from adaedge.builder.partition import Exported, GraphPartitioner, export_width
from adaedge.builder.quantisation import MOST_SAMPLES as MOST_CALIBRATING
from adaedge.builder.quantisation import int8_partitioner
from adaedge.builder.samples import Samples, evenly_spaced
from adaedge.builder.scorer import Scorer
from adaedge.builder.space import INT8, LATENT, Space
from adaedge.builder.verification import verify, verify_folded
from adaedge.builder.widths import index_of, module_of
from adaedge.bundle import Bundle, Manifest, PointEntry
from adaedge.bundle.batches import pieces
from adaedge.bundle.entries import Cut
from adaedge.engine import Arrays
from adaedge.errors import CodecError
from adaedge.graph import SplitPoint, Splittable
from adaedge.metrics import Metric
from adaedge.operating_point import FP32, FULL, INPUT, OUTPUT, Level, OperatingPoint
from adaedge.payload import BOTTLENECK, DELTA, is_stateful, uses_bottleneck
from adaedge.stream import ChangeDetector

Progress = Callable[[str, int, int], None]


@dataclass(slots=True)
class Assembly:
    """A bundle in the making.

    Attributes:
        net: the network, or its `Elastic`.
        call: how it is called.
        space: what to build; widths and precisions are settled, splits and codecs once each network is captured.
        named: what of it the user named; ``None`` for a dimension that was chosen.
        about: the manifest, without what is built.
        answer: name of the answer codec; ``None`` for the default of the outputs.
        samples: pictures and clips that int8 is calibrated on, and points are scored on.
        evaluate: scores a point; without it a metric does, where there are samples.
        metric: compares a point's answers with the full network's; ``None`` for the default of its outputs.
        scratch: keeps what took long.
        report: progress.
        detector: measures the changes that kept answers follow.
        plain: whether the user gave a plain network, whose narrower widths are untrained.
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
    _networks: dict[str, Network] = field(default_factory=dict)
    _weak: set[float] = field(default_factory=set)
    _fit_on: Sequence[int] = ()  # which samples bottlenecks are fitted on
    _held_out: Evaluate | None = None

    @property
    def levels(self) -> tuple[Level, ...]:
        """Every level that is captured: the full network's full width first, for the ends need it."""
        narrower = (width for width in self.space.widths or () if width != 1.0)
        return (Level(), *map(Level, self.space.networks), *(Level(width=width) for width in narrower))

    def settle(self) -> None:
        """Capture each network at its full width, and settle its split points and codecs by that.

        Raises:
            SplitError: if no network has a split point of the space.
            CodecError: if no codec of it can carry what crosses at one of them.
            CaptureError: if the full network cannot be captured, and has to be split.
        """
        full = {level.network: self._captured(level) for level in self.levels if level.width == 1.0}
        self._networks = settled(full, self.space, self.named, self.call, self.samples)
        self.space = self._networks[FULL].space
        self._parts.codecs = self.space.own_codecs

    def add(self, level: Level) -> None:
        """Cut and quantise a level, one of ``levels`` in their order.

        Raises:
            CodecError: if the answer codec fits no output, or a bottleneck cannot be fitted.
            CaptureError: if the level cannot be captured or exported, or its graphs compute something else.
        """
        network = self._networks[level.network]
        splittable = network.splittable if level.width == 1.0 else self._captured(level)
        exported = self._exported(splittable, level)
        if level == Level():
            self.about = with_interface(self.about, self.answer, self.call, splittable, exported)
        fp32 = GraphPartitioner(self._parts, exported)
        self._cut(exported, FP32, fp32, fp32)
        bundle = self._bundle(self._parts.cuts, ())
        self._verify(bundle, splittable, level)
        if level == Level():
            self._judge(bundle)
        if self._is_weak(bundle, level.width):
            self._weak.add(level.width)
            return
        given = self.samples.inputs
        inputs, chosen = (
            list(chain.from_iterable(pieces(sample, bundle.manifest) for sample in samples))
            for samples in (evenly_spaced(given, MOST_CALIBRATING), [given[at] for at in self._fit_on])
        )
        self._add_bottlenecks(splittable, exported, chosen, fp32)
        stateful = [split for split, names in network.codecs.items() if any(map(self._has_state, names))]
        add_heads(fp32, splittable, level, network.space, self.call.wrapped, None, stateful)
        if network.space.holds(OUTPUT, replace(level, precision=INT8)):
            with self._stage("quantise", level):
                partitioner = int8_partitioner(self._parts, exported, inputs, self.scratch)
            self._cut(exported, INT8, partitioner, fp32)
            int8 = replace(level, precision=INT8)
            add_heads(partitioner, splittable, int8, network.space, self.call.wrapped, inputs, stateful)

    def finished(self) -> Bundle:
        """The bundle: every point scored, and those that were chosen but can be best nowhere left out."""
        codecs = {(name, split): found for name, one in self._networks.items() for split, found in one.codecs.items()}
        bottlenecks = self._parts.bottlenecks
        cuts = [
            bottlenecks.placed(cut)
            for cut in sorted(filter(self._is_held, self._parts.cuts), key=lambda cut: [*codecs].index(_at(cut)))
        ]
        entries = [
            PointEntry(point, 0.0)
            for cut in cuts
            for point in points_at(cut, bottlenecks.codecs(cut.bottleneck, codecs[_at(cut)]))
        ]
        samples = self.samples if self.samples or self.evaluate else Samples.of(self.call.inputs)
        bundle = self._bundle(cuts, entries)
        verify_folded(bundle, self.call.inputs)
        scored = evaluate(bundle, self.evaluate, self._held_out, samples, self._parts.digest, self.scratch, self.report)
        macs = {(cut.split, cut.level): cut.head.macs if cut.head else 0 for cut in cuts}
        kept = point_choice.pareto_filter(
            scored, {entry.point: macs[_place(entry.point)] for entry in scored}, self.named
        )
        places = {_place(entry.point) for entry in kept}
        used = {_place(entry.point) for entry in kept if uses_bottleneck(entry.point.codec)}
        held = [cut for cut in cuts if (cut.split, cut.level) in places]
        bare = partial(replace, bottleneck=None, folded_tail=None)
        cuts = [cut if (cut.split, cut.level) in used else bare(cut) for cut in held]
        full = self._bundle(cuts, kept)
        self.about = kept_report.described(
            self.about, full, self.space.kept, self.samples, self.detector, self.evaluate
        )
        return self._bundle(cuts, kept)

    @contextmanager
    def _stage(self, what: str, level: Level) -> Iterator[None]:
        done, total = self.levels.index(level), len(self.levels)
        self.report(what, done, total)
        yield
        self.report(what, done + 1, total)

    def _has_state(self, codec: str) -> bool:
        own = {one.name: one.is_stateful for one in self.space.own_codecs}
        return codec == DELTA or own.get(codec, is_stateful(codec))

    def _captured(self, level: Level) -> Splittable:
        with self._stage("capture", level), telling(level.network):
            return Splittable(
                self.call.wrap(module_of(self._net(level), level.width)), *self.call.example, dynamic=False
            )

    def _net(self, level: Level) -> nn.Module:
        return self.net if level.network == FULL else self.space.networks[level.network]

    def _exported(self, splittable: Splittable, level: Level) -> Exported:
        space = self._networks[level.network].space
        splits = [] if level.width not in (space.widths or ()) else space.splits or ()
        points = find_points(splittable, splits, wrapped=self.call.wrapped)
        index = index_of(self._net(level), level.width)
        with self._stage("export", level):
            return export_width(splittable, points, self.call, level=level, index=index)

    def _cut(self, exported: Exported, precision: str, heads: GraphPartitioner, tails: GraphPartitioner) -> None:
        """Cut one level at every point; what the space does not hold is dropped when all is scored."""
        for point in exported.points:
            level = replace(exported.level, precision=precision)
            if point.name == INPUT and level != Level():
                continue
            halves = heads.head(point.name), tails.tail(point.name)
            self._parts.cuts.append(Cut(point.name, level, *halves, point.payload_bytes, point.aliases))

    def _judge(self, bundle: Bundle) -> None:
        """Settle what scores points, and which samples bottlenecks are fitted on: none of those that score them."""
        self._fit_on = evenly_spaced(range(len(self.samples.inputs)), MOST_SAMPLES)
        self._held_out = self.evaluate
        if self.evaluate is None:
            self.evaluate = self._held_out = evaluation = against_full(bundle, self.samples, self.metric)
            if evaluation is not None and self.space.has_bottlenecks:
                self._fit_on, judged = self.samples.divided(MOST_SAMPLES)
                self._held_out = evaluation.on(judged)

    def _add_bottlenecks(
        self, splittable: Splittable, exported: Exported, samples: Sequence[Arrays], partitioner: GraphPartitioner
    ) -> None:
        """Fit a bottleneck at every split point that is to have one; the user's own are taken as they are."""
        codecs = self._networks[exported.level.network].codecs
        wanted = [point for point in exported.points if LATENT & {*codecs.get(point.name, ())}]
        begun = self.levels.index(exported.level) * len(wanted)
        for done, point in enumerate(wanted, begun):
            self.report(BOTTLENECK, done, len(wanted) * len(self.levels))
            try:
                file = self._bottleneck(splittable, point, exported.level, samples)
                if file and DELTA in codecs[point.name]:
                    file = self._with_changes(file, point.name, exported.level)
            except CodecError as error:
                if self.named.codecs is not None:
                    raise
                warnings.warn(str(error), UserWarning, stacklevel=4)  # the caller of `build`
                continue
            if file:
                fold = partial(partitioner.folded_tail, point.name)
                self._parts.bottlenecks.add(point.name, exported.level, file, fold)
        if wanted:
            self.report(BOTTLENECK, begun + len(wanted), len(wanted) * len(self.levels))

    def _bottleneck(
        self, splittable: Splittable, point: SplitPoint, level: Level, samples: Sequence[Arrays]
    ) -> bytes | None:
        space = self._networks[level.network].space
        own = own_bottleneck(point, space.codecs or ()) if level.width == 1.0 else None
        if own is not None:
            features = self._bundle(self._parts.cuts, ()).head(point.name).run(self.call.inputs)
            return import_bottleneck(own, point, self.call, features)
        if not space.has_bottlenecks:
            return None
        cut = self._parts.cut(point.name, level)
        digest = self._parts.digest(cut.head) + self._parts.digest(cut.tail)
        inner = find_points(splittable, [point.name], wrapped=self.call.wrapped)[1].name
        named, post = (inner, point.name), self.about.postprocessing
        return fit_bottleneck(splittable, *named, self.call, samples, self.scratch, digest, post)

    def _with_changes(self, file: bytes, split: str, level: Level) -> bytes:
        """The file of a bottleneck with tables of changes, where it has them or a clip is long enough to fit them."""
        head = self._bundle(self._parts.cuts, ()).head(split, level)
        clips = [[head.run(self.samples.inputs[at]) for at in run] for run in self.samples.runs(MOST_MOVING)]
        return with_changes(file, clips, self.scratch)

    def _verify(self, bundle: Bundle, splittable: Splittable, level: Level) -> None:
        args, kwargs = self.call.example
        with torch.no_grad():
            expected = [tensor.numpy(force=True) for tensor in splittable.tap([])(*args, **kwargs)]
        verify(bundle, [cut for cut in self._parts.cuts if cut.level == level], self.call.inputs, expected)

    def _is_weak(self, bundle: Bundle, width: float) -> bool:
        """Whether this width was chosen, and is too bad to be built."""
        if width == 1.0 or self.named.widths is not None or not self.plain or not self.evaluate:
            return False
        full, local = (Scorer(bundle).accuracy(OperatingPoint(OUTPUT, one), self.evaluate) for one in (1.0, width))
        if point_choice.usable(local, full):
            return False
        warnings.warn(point_choice.left_out(width, local, full), UserWarning, stacklevel=4)  # the caller of `build`
        return True

    def _is_held(self, cut: Cut) -> bool:
        return cut.level.width not in self._weak and self._networks[cut.level.network].space.holds(cut.split, cut.level)

    def _bundle(self, cuts: Sequence[Cut], entries: Sequence[PointEntry]) -> Bundle:
        return self._parts.bundle(self.about, cuts, entries)


def _at(cut: Cut) -> tuple[str, str]:
    return cut.level.network, cut.split


def _place(point: OperatingPoint) -> tuple[str, Level]:
    return point.split, point.level
