"""Terminal: answers every frame within its deadline, whatever the link does.

May import: ``errors``, ``operating_point``, ``energy``, ``channel``, ``engine``, ``bundle``, ``stream``,
``scheduling``.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, final

from adaedge.bundle import Bundle
from adaedge.channel import RateEstimator, Transitions
from adaedge.energy import EnergyMeter, EnergySplit
from adaedge.engine import Arrays
from adaedge.errors import LinkError
from adaedge.operating_point import KEPT, Decision, LastAnswer, OperatingPoint
from adaedge.runtime.clock import Clock, MonotonicClock, Stopwatch
from adaedge.runtime.first_answers import FirstAnswer
from adaedge.runtime.link import Link
from adaedge.runtime.link_monitor import LinkMonitor
from adaedge.runtime.offload import Attempt, Bindings, Offload, for_meter
from adaedge.runtime.preloading import check_points, points_of, preload
from adaedge.runtime.record import Measurement
from adaedge.runtime.result import Result
from adaedge.scheduling import LinkState, ProbePlan, Scheduler
from adaedge.stream import ChangeDetector, Keeping, Runners, Stream
from adaedge.stream.filtering import Latent

if TYPE_CHECKING:
    from adaedge.runtime.pupil import Pupil


@final
class Terminal:
    """Runs each frame at the operating point that the scheduler chooses. Every frame gets an answer.

    An offload is given up in time for a local finish. While the edge server cannot be used, frames are answered locally
    and the link is probed as the plan says. ``infer`` is thread-safe; frames of one stream take turns.

    Args:
        bundle: the model.
        scheduler: chooses, and knows deadline and energy model.
        link: the way to the edge server; the terminal closes it.
        estimator: turns uploads into a rate; ``Transitions`` by default.
        clock: the time; real by default.
        plan: when to probe an unused link; the scheduler's plan by default.
        preload: load and run everything on entering, so that no frame waits for it; otherwise each part at first use.
        paced: let computing take at least as long as the profile says, for experiments: with ``Profile.slowed`` this
            machine stands for a slower one. With a ``SkippingClock`` call ``infer`` from one thread only.
        handshake_timeout_s: seconds that the edge server has to answer a handshake or a probe.
        tolerance: nats; at a bottleneck's points a frame whose latent moved by less gets the last answer. 0 sends all.
        keeping: how answers are kept (detector, audits, metric), where the bundle knows how good they are.
        signal: returns the rate in bit/s that the modem's signal promises, or ``None``, such as a `SignalWatch`.
        pupil: sends frames to be labelled and takes new weights of a student, beside the frames.

    Raises:
        ScheduleError: if the bundle lacks points of the profile, the tolerance is below 0, or the detector is wrong.

    Example:
        >>> import adaedge, torch
        >>> from adaedge.energy import RASPBERRY_PI_4 as PI, WIFI_2012, EnergyModel
        >>> bundle = adaedge.build(torch.nn.Linear(4, 2).eval(), (torch.zeros(1, 4),), adaedge.Space([]))
        >>> scheduler = Scheduler(adaedge.profile(bundle), EnergyModel(PI, WIFI_2012), deadline_s=1.0)
        >>> with Terminal(bundle, scheduler, adaedge.runtime.NoLink()) as terminal:
        ...     terminal.infer((torch.ones(1, 4).numpy(),)).measurement.answered_by
        'terminal'
    """

    def __init__(
        self,
        bundle: Bundle,
        scheduler: Scheduler,
        link: Link,
        *,
        estimator: RateEstimator | None = None,
        clock: Clock | None = None,
        plan: ProbePlan | None = None,
        preload: bool = True,
        paced: bool = False,
        handshake_timeout_s: float = 2.0,
        tolerance: float = 0.0,
        keeping: Keeping | None = None,
        signal: Callable[[], float | None] | None = None,
        pupil: Pupil | None = None,
    ) -> None:
        self._points = points_of(scheduler.table)
        check_points(self._points, bundle)
        self.bundle = bundle
        self.scheduler = scheduler
        self.clock: Clock = MonotonicClock() if clock is None else clock
        self._link = link
        self._preload = preload
        self._paced = paced
        self._signal = signal
        self._meter = EnergyMeter(scheduler.energy)
        self._keeping = replace(keeping or Keeping(), tolerance=tolerance, floor=scheduler.limits.accuracy_floor)
        self._runners = Runners(bundle)
        self._stream = self.stream()
        self._lock = threading.Lock()
        self._monitor = LinkMonitor(
            link,
            bundle.digest,
            Transitions() if estimator is None else estimator,
            self.clock,
            scheduler.probe_plan() if plan is None else plan,
            handshake_timeout_s,
            radio=scheduler.energy.radio,
            wants_probe=self._wants_probe if plan is None else None,
            probe_timeout_s=scheduler.probe_timeout_s,
        )
        self._offload = Offload(link, self._monitor, self.clock)
        self._bindings = Bindings(bundle, scheduler.table, paced=paced)
        self._pupil = None if pupil is None else pupil.begin(bundle, self._monitor, self.clock)

    @property
    def offloads(self) -> bool:
        """Whether the edge server can be used, as far as is known."""
        return self._monitor.up

    def __enter__(self) -> Terminal:
        """Load the model and reach the edge server, if the plan wants it; warn where that fails and begin locally."""
        try:
            if self._preload:
                preload(self.bundle, self._points, self._runners)
            if self._monitor.due():
                self._monitor.probe()
        except LinkError as error:
            warnings.warn(f"frames are answered locally until the edge server is reached: {error}", stacklevel=2)
        except BaseException:
            self._monitor.close()  # nobody will leave what was not entered
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> EnergySplit:
        """Close the link. Returns the joules of the radio after the last frame: the last probes' and its tail's."""
        taught = EnergySplit() if self._pupil is None else self._pupil.close(self._meter, self.clock.now_s())
        self._monitor.close()
        now_s, uploads = self.clock.now_s(), for_meter(self._monitor.take_probes())
        with self._lock:
            probes = self._meter.frame(now_s, 0.0, uploads, end_s=now_s) if uploads else EnergySplit()
            return taught + probes + self._meter.close()

    def stream(self, detector: ChangeDetector | None = None) -> Stream:
        """A stream for another camera. Frames of different streams do not wait for each other.

        Args:
            detector: measures its changes since the last answer; the terminal's by default.

        Raises:
            ScheduleError: if it is not the one that the bundle's kept answers were fitted with.
        """
        keeping = replace(self._keeping, detector=detector or self._keeping.detector)
        return Stream(self.bundle, keeping, self._runners)

    def infer(self, frame: Any, stream: Stream | None = None) -> Result:
        """The answer to one frame.

        Frames of one stream take turns. One whose turn does not come before its deadline builds upon none of them.

        Args:
            frame: uint8 (H, W, 3) of any size, or the model's inputs as a tuple of arrays. Where the model takes a
                window, the stream holds its frames, the first of all in the place of those before it; a clip as long
                as a window, or longer, may be given in place of a frame.
            stream: whose next frame it is; the terminal's own by default.

        Raises:
            SourceError: if the frame is not what the bundle takes. Nothing else is affected.
        """
        stream = self._stream if stream is None else stream
        start_s = self.clock.now_s()
        stopwatch = Stopwatch(self.clock)
        number, late = stream.number(), stream.is_prepared_late(frame)
        with stopwatch:
            inputs = None if late else stream.inputs_of(frame)
        with stream.turn(self.scheduler.limits.deadline_s) as mine:
            with stopwatch:
                changes = stream.changes(frame) if mine else {}
            decision, promised = self._decide(stream, changes)
            if decision.point == KEPT:
                return self._kept(stream, decision, start_s, stopwatch, frame)
            if inputs is None:
                with stopwatch:
                    inputs = stream.inputs_of(frame)
            its = stream if mine else self.stream()  # a refresh, of which nothing is kept
            first = FirstAnswer(decision, decision)
            if self.scheduler.table.cascades:
                with stopwatch:
                    first = FirstAnswer.of(self.scheduler.table.cascades, decision, self.bundle, inputs)
                if self._paced:
                    stopwatch.pad(first.took_s)
            answer, attempt, by, latent = first.answer, Attempt(), "terminal", None
            if answer is None:
                answer, attempt, by, latent = self._answered(first, inputs, its, start_s, stopwatch)
            if mine and by == "edge" and len(attempt.uploads) == 1:  # else a refresh followed what was predicted
                stream.sent(first.run, attempt.uploads[0].payload_bytes)
            score = None
            if by != "earlier":
                with stopwatch:
                    whole = answer if not attempt.lost_segments else None
                    score = its.answered(whole, number, first.run.point, latent=latent, promised=promised)
            found = {"audit_score": score, "correction": its.keeper.audit.correction, **its.cached.measured}
            measurement = replace(self._measured(start_s, stopwatch.compute_s, attempt, answered_by=by), **found)
        self._monitor.refresh()
        if self._pupil is not None:
            self._pupil.saw(inputs)
        return Result(self.bundle.answers.nested(answer, frame), first.decision, measurement, answer)

    def _decide(self, stream: Stream, changes: Mapping[OperatingPoint, float]) -> tuple[Decision, float | None]:
        """What to do with a frame; of one that is audited, what its kept answer would have scored at least."""
        last = (keeper := stream.keeper).last
        promised = self.scheduler.kept_accuracy(changes, last and replace(last, correction=0.0))
        if promised is None:
            return self._choose(changes, stream, last), None
        if not keeper.audit.due:
            keeper.audit = keeper.audit.passed()
            return self._choose(changes, stream, last), None
        others = {point: change for point, change in changes.items() if point != KEPT}
        decision = self._choose(others, stream, None)
        reason = f"an audit: one in {keeper.audit.every} frames whose answer could be kept is computed"
        return replace(decision, reasons=(*decision.reasons, reason)), promised

    def _kept(self, stream: Stream, decision: Decision, start_s: float, watch: Stopwatch, frame: Any) -> Result:
        """The last answer again."""
        keeper, profiled = stream.keeper, self.scheduler.keeping
        last = keeper.last
        assert last is not None
        assert profiled is not None
        with watch:
            answer = keeper.answer()
        if self._paced:
            watch.pad(float(profiled.table.terminal_s[-1]))
        measurement = self._measured(start_s, watch.compute_s, Attempt(), answered_by="earlier")
        measurement = replace(measurement, kept_from=last.frame, correction=last.correction)
        self._monitor.refresh()
        return Result(self.bundle.answers.nested(answer, frame), decision, measurement, answer)

    def _answered(
        self, first: FirstAnswer, inputs: Arrays, stream: Stream, start_s: float, stopwatch: Stopwatch
    ) -> tuple[Arrays, Attempt, str, Latent | None]:
        """The answer, what became of the offload, who answered, and what a filter compares the next frame with."""
        bound, change = self._bindings.of(first.run.point, first.took_s), first.run.change
        route, keeper = bound.route, stream.keeper
        with stopwatch:
            features = stream.head(route, inputs)
            latent = keeper.latent(route.point, features)
            standing = self.bundle.answers.reduce(features) if route.is_local else keeper.standing(route.point, latent)
        if standing is not None:
            stopwatch.pad(bound.sent_after_s(change))
            return standing, Attempt(), "terminal" if route.is_local else "earlier", latent
        attempt = self._offload.run(bound, features, stream, start_s + bound.timeout_s, stopwatch, change)
        answer = attempt.answer
        if answer is None:
            begun_s = stopwatch.compute_s
            with stopwatch:
                answer = self.bundle.answers.reduce(route.finish.run(features))
            stopwatch.pad(begun_s + bound.finish_s)
        return answer, attempt, "terminal" if attempt.failure else "edge", latent

    def _wants_probe(self, link: LinkState, now_s: float) -> bool:
        """Asked after every frame: what the scheduler wants, that knows the signal of this moment."""
        if self._signal is not None:
            self.scheduler.hear(self._signal())
        return self.scheduler.wants_probe(link, now_s)

    def _choose(self, changes: Mapping[OperatingPoint, float], stream: Stream, last: LastAnswer | None) -> Decision:
        with self._lock:
            now_s = self.clock.now_s()
            estimate = self._monitor.estimate(now_s)
            return self.scheduler.choose(estimate, now_s, changes, stream.sent_ratio, last, stream.step)

    def _measured(self, start_s: float, compute_s: float, attempt: Attempt, *, answered_by: str) -> Measurement:
        end_s, probes = self.clock.now_s(), self._monitor.take_probes()
        uploads = for_meter([*probes, *attempt.uploads])
        with self._lock:
            taught, told = (EnergySplit(), {}) if self._pupil is None else self._pupil.charged(self._meter, start_s)
            energy = self._meter.frame(start_s, compute_s, uploads, attempt.wait_s, attempt.answer_bytes, end_s=end_s)
            self.scheduler.settle(energy.total_j, self._meter.owed_j)
        return Measurement(
            latency_s=end_s - start_s,
            compute_s=compute_s,
            upload_s=sum([crossing.end_s - crossing.start_s for crossing in attempt.uploads]),
            wait_s=attempt.wait_s,
            payload_bytes=sum([size_bytes for _, _, size_bytes in uploads]),
            answer_bytes=attempt.answer_bytes,
            answered_by=answered_by,
            failure=attempt.failure,
            energy=energy + taught if told else energy,
            probe_bytes=sum([probe.payload_bytes for probe in probes]) if probes else 0,
            lost_segments=attempt.lost_segments,
            edge_s=attempt.edge_s,
            frame_id=attempt.frame_id,
            **told,
        )
