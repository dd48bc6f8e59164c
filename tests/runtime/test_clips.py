"""Clips as inputs: models that take a window of a stream, of which only new frames cross."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from torch import nn
from transformers import VideoMAEConfig, VideoMAEForVideoClassification

import adaedge
from adaedge.builder.frames import ExampleCall
from adaedge.bundle import Preprocessing
from adaedge.channel import Trace
from adaedge.clip import Clip
from adaedge.energy import ComputePower, EnergyModel, presets
from adaedge.errors import CodecError, ModelError, SourceError
from adaedge.models import TwoRates, load
from adaedge.operating_point import Cost, OperatingPoint, Profile
from adaedge.payload import Message, wire
from adaedge.payload.video import video_codec
from adaedge.profiling.player import Player
from adaedge.runtime import EdgeSession, ReplayLink, Terminal
from adaedge.scheduling import Fixed, Scheduler
from adaedge.stream import Stream

LOCAL = OperatingPoint("output")
VIDEO = OperatingPoint("input", codec="h264@24")
CODECS = ["raw", "h264@24", "jpeg@90"]
SIDE = 32


def shown(count, first=0, size=(40, 48)):
    """A square that moves over a textured ground."""
    ground = np.random.default_rng(0).integers(90, 110, (*size, 3), dtype=np.uint8)
    frames = [ground.copy() for _ in range(count)]
    for at, frame in enumerate(frames, first):
        frame[10:22, 2 * at % 30 : 2 * at % 30 + 10] = 220
        frame[30:40, :] = at % 256
    return frames


def windows(bundle, frames):
    """What the model should see after each frame, put together by hand."""
    told = bundle.manifest.preprocessing
    ready = [bundle.preprocess(frame)[0] for frame in frames]
    ages = [age * told.stride for age in reversed(range(told.frames))]
    return [np.stack([ready[max(0, at - age)] for age in ages])[None] for at in range(len(frames))]


class Tiny(nn.Module):
    """A SlowFast in small: a clip at two rates, (N, C, T, H, W), fused."""

    def __init__(self):
        super().__init__()
        self.slow, self.fast = nn.Conv3d(3, 4, (1, 3, 3), (1, 4, 4)), nn.Conv3d(3, 4, (3, 3, 3), (1, 4, 4))
        self.head = nn.Linear(8, 5)

    def forward(self, clips):
        slow, fast = self.slow(clips[0]).relu(), self.fast(clips[1]).relu()
        return self.head(torch.cat([slow.mean((2, 3, 4)), fast.mean((2, 3, 4))], 1))


def video_mae():
    config = VideoMAEConfig(
        image_size=SIDE, num_frames=4, hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64
    )
    return VideoMAEForVideoClassification._from_config(config).eval()


def built(net, shape, split, **geometry):
    preprocessing = Preprocessing(size=shape[-2:], crop=1.0, **geometry)
    space = adaedge.Space(splits=[split], codecs=CODECS)
    return net, adaedge.build(net, (torch.rand(shape),), space, calibrate=[shown(14)], preprocessing=preprocessing)


@pytest.fixture(scope="module")
def mae():
    torch.manual_seed(0)
    return built(video_mae(), (1, 4, 3, SIDE, SIDE), "videomae.encoder.layer.0", frames=4)


@pytest.fixture(scope="module")
def two_rates():
    torch.manual_seed(0)
    return built(TwoRates(Tiny(), 8, 4).eval(), (1, 3, 8, SIDE, SIDE), "net.slow", frames=8, stride=2)


@pytest.fixture(params=["mae", "two_rates"])
def either(request):
    return request.getfixturevalue(request.param)


def terminal(bundle, point, answer=None):
    costs = {point: Cost(head_s=0.001, payload_bytes=900, answer_bytes=150, finish_s=0.001), LOCAL: Cost(head_s=0.05)}
    energy = EnergyModel(ComputePower(3.7), presets.WIFI_2012)
    scheduler = Scheduler(Profile(costs, bundle.digest, "test", "test"), energy, deadline_s=9.0, policy=Fixed(point))
    link = ReplayLink(Trace([0.0], [50e6]), answer or EdgeSession(bundle).answer)
    return Terminal(bundle, scheduler, link, preload=False)


def check_halves(net, bundle):
    inputs = (windows(bundle, shown(30))[-1],)
    told = bundle.manifest.preprocessing
    layout = (told.frames, 3) if isinstance(net, VideoMAEForVideoClassification) else (3, told.frames)
    call = ExampleCall((torch.zeros(1, *layout, *told.size),), {}, told)
    with torch.no_grad():
        output = net(*call.unflattened(inputs))
    expected = (output if isinstance(output, torch.Tensor) else output.logits).numpy()
    assert len(bundle.manifest.cuts) == 3
    for cut in bundle.manifest.cuts:
        (found,) = bundle.tail(cut.split).run(bundle.head(cut.split).run(inputs))
        assert np.abs(found - expected).max() <= 1e-4 * np.abs(expected).max()


def check_slides(bundle, point=VIDEO):
    """Answers are those to what the windows decode to, and once windows have taken turns only new frames cross."""
    told = bundle.manifest.preprocessing
    frames = shown(told.span + 12)
    alone, stream, sizes, sent, held = video_codec(point.codec), [], [], None, None
    by_hand = alone_sent = None
    for frame in frames:
        (headers, segments), alone_sent = alone.encode([bundle.preprocess(frame)], [None], alone_sent)
        stream.append(len(wire.encode(Message(bundle.digest, 1, point, headers, segments, 1, 1))))
    codec = bundle.codec(point)
    with terminal(bundle, point) as running:
        for frame, window in zip(frames, windows(bundle, frames), strict=True):
            result = running.infer(frame)
            assert (result.measurement.answered_by, result.measurement.failure) == ("edge", "")
            by_hand, sent = codec.encode([window], [None], sent)
            pixels, held = codec.decode(*by_hand, 2**24, held)
            (expected,) = bundle.run(LOCAL, pixels)
            assert np.allclose(result.answer[0], expected, rtol=1e-4, atol=1e-5)
            assert np.abs(pixels[0].astype(int) - window).mean() < 8
            sizes.append(result.measurement.payload_bytes - result.measurement.probe_bytes)
    assert sum(sizes[-12:]) <= 1.15 * sum(stream[-12:])


def test_halves_are_what_pytorch_computes(either):
    check_halves(*either)


def test_what_crosses_is_the_frames_of_a_window_that_are_new(either):
    check_slides(either[1])


def test_the_input_is_a_clip_and_video_and_picture_codecs_carry_it(either):
    _, bundle = either
    told = bundle.manifest.preprocessing
    assert bundle.manifest.inputs[0].shape == (1, told.frames, SIDE, SIDE, 3)
    assert {point.codec for point in bundle.points if point.split == "input"} == set(CODECS)
    entries = {entry.point.codec: entry for entry in bundle.manifest.points if entry.point.split == "input"}
    assert max(entries["h264@24"].next_bytes) < entries["h264@24"].payload_bytes < entries["jpeg@90"].payload_bytes
    again = adaedge.bundle.Manifest.from_bytes(bundle.manifest.to_bytes())
    assert again.preprocessing == told


@pytest.mark.parametrize("codec", ["raw", "jpeg@90"])
def test_codecs_without_a_state_carry_the_whole_window(either, codec):
    _, bundle = either
    point = OperatingPoint("input", codec=codec)
    frames = shown(6)
    with terminal(bundle, point) as running, terminal(bundle, LOCAL) as local:
        for frame, window in zip(frames, windows(bundle, frames), strict=True):
            result, own = running.infer(frame), local.infer(frame)
            assert result.measurement.answered_by == "edge"
            assert np.allclose(result.answer[0], bundle.run(point, (window,))[0], rtol=1e-4, atol=1e-5)
            assert np.allclose(own.answer[0], bundle.run(LOCAL, (window,))[0], rtol=1e-4, atol=1e-5)


def test_after_a_loss_a_refresh_carries_the_whole_window(mae):
    _, bundle = mae
    session, lose = EdgeSession(bundle), []
    payloads = []

    def answer(data):
        payloads.append(bytes(data))
        reply = session.answer(data)
        return b"lost" if lose else reply

    frames = shown(12)
    with terminal(bundle, VIDEO, answer) as running:
        for at, (frame, window) in enumerate(zip(frames, windows(bundle, frames), strict=True)):
            lose[:] = [True] if at == 7 else []
            result = running.infer(frame)
            message = bundle.read(payloads[-1])
            new = bytes(message.segments[0])[8]
            assert (message.base == 0, new) == ((True, 4) if at == 8 else (at == 0, 1))
            assert result.measurement.answered_by == ("terminal" if at == 7 else "edge")
            if at == 8:
                pixels = bundle.decode(payloads[-1])[1]  # it stands by itself
                assert np.abs(pixels[0].astype(int) - window).mean() < 8
                assert np.allclose(result.answer[0], bundle.run(LOCAL, pixels)[0], rtol=1e-4, atol=1e-5)


def test_a_window_whose_turn_has_not_crossed_since_a_refresh_has_changed_altogether(two_rates, monkeypatch):
    _, bundle = two_rates
    session, lose, payloads, told = EdgeSession(bundle), [], [], []

    def answer(data):
        payloads.append(bytes(data))
        reply = session.answer(data)
        return b"lost" if lose else reply

    with terminal(bundle, VIDEO, answer) as running:
        choose = running.scheduler.choose

        def telling(estimate, now_s, changes, *rest):
            told.append(changes.get(VIDEO))
            return choose(estimate, now_s, changes, *rest)

        monkeypatch.setattr(running.scheduler, "choose", telling)
        for at, frame in enumerate(shown(26)):
            lose[:] = [True] if at == 19 else []
            running.infer(frame)
    new = [bytes(bundle.read(payload).segments[0])[8] for payload in payloads]
    assert told[0] is None
    assert max(told[1:20]) < 0.5, "its first frame stands for those before it, in either turn"
    assert [told[20], told[21]] == [None, 1.0]
    assert (new[20:22], new[1:20]) == ([8, 8], [1] * 19)
    assert max(told[22:]) < 0.5


def test_an_edge_server_that_forgot_gets_the_whole_window_within_the_deadline(mae):
    _, bundle = mae
    session = EdgeSession(bundle)
    with terminal(bundle, VIDEO, lambda data: session.answer(data)) as running:
        for frame in shown(6):
            running.infer(frame)
        refresh = 0
        session = EdgeSession(bundle)
        result = running.infer(shown(1, 6)[0])
        assert (result.measurement.answered_by, result.measurement.failure) == ("edge", "")
        refresh = result.measurement.payload_bytes
        assert refresh > 2 * running.infer(shown(1, 7)[0]).measurement.payload_bytes


def test_frames_that_were_answered_here_cross_with_the_next_that_does(mae):
    _, bundle = mae
    stream = Stream(bundle)
    codec = bundle.codec(VIDEO)
    frames = shown(9)
    inputs = stream.inputs_of(frames[0])
    assert stream.changes(frames[0]) == {}
    position, _ = stream.next(VIDEO, codec, 1.0)
    stream.keep(position, VIDEO, bundle.encode_next(VIDEO, inputs, position)[1])
    stream.inputs_of(frames[1])
    alone = stream.changes(frames[1])[VIDEO]
    assert 0 < alone < 0.5
    stream.inputs_of(frames[2])
    assert stream.changes(frames[2])[VIDEO] == 0.5  # two of its four frames are new
    for frame in frames[3:7]:
        inputs = stream.inputs_of(frame)
    assert stream.changes(frames[6])[VIDEO] == 1.0
    assert stream.changes([*frames[3:6], frames[0]])[VIDEO] == 1.0
    position, reference = stream.next(VIDEO, codec, 1.0)
    data, _ = bundle.encode_next(VIDEO, inputs, position, reference)
    assert bytes(bundle.read(data).segments[0])[8] == 4
    assert position.base == 1


def test_a_clip_may_be_given_whole(two_rates):
    _, bundle = two_rates
    frames = shown(20)
    expected = bundle.run(LOCAL, (windows(bundle, frames)[-1],))[0]
    with terminal(bundle, LOCAL) as running:
        for given in (frames, np.stack(frames), Clip(frames, 30.0), frames[-15:], (windows(bundle, frames)[-1],)):
            assert np.allclose(running.infer(given).answer[0], expected, rtol=1e-4, atol=1e-5)
        first = running.infer(frames[0]).answer[0]  # the window has not begun yet
    assert np.allclose(first, bundle.run(LOCAL, bundle.inputs_of(frames[0]))[0], rtol=1e-4, atol=1e-5)


def test_what_does_not_fit_is_refused_and_leaves_the_window_as_it_was(two_rates):
    _, bundle = two_rates
    frames = shown(4)
    whole = windows(bundle, frames)
    with terminal(bundle, VIDEO) as running:
        for frame, window in zip(frames, whole, strict=True):
            for wrong, text in (
                (shown(14), r"at least 15 frames \(8, each 2 after the one before\); got 14"),
                ([*shown(14), *shown(1, size=(48, 40))], r"a clip's frames have one size; frame 0 is .* frame 14"),
                ([], "a clip holds at least one frame; got none"),
                (frame.astype(np.float32), r"a frame is uint8 \(height, width, 3\); got float32"),
                (frame[..., :1], r"a frame is uint8 \(height, width, 3\)"),
                ((window[:, 1:],), r"a frame of this bundle is uint8 \(1, 8, 32, 32, 3\); got uint8 \(1, 7, 32"),
            ):
                with pytest.raises(SourceError, match=text):
                    running.infer(wrong)
            result = running.infer(frame)
            assert (result.measurement.answered_by, result.measurement.failure) == ("edge", "")
        turned = [*frames, *shown(1, 4, size=(60, 44))]  # the camera turns: all its frames become one size
        result = running.infer(turned[-1])
        assert result.measurement.answered_by == "edge"
        assert result.decision.change == 1.0
        local = bundle.run(LOCAL, (windows(bundle, turned)[-1],))[0]
        assert np.abs(result.answer[0] - local).max() < 0.2 * np.abs(local).max()


def test_a_profile_times_windows_as_they_slide(mae):
    _, bundle = mae
    profile = adaedge.profile(bundle, repetitions=2, frames=shown(10))
    assert profile.at(VIDEO, profile.changes[0]).payload_bytes < profile[VIDEO].payload_bytes
    assert profile.at(VIDEO, profile.changes[0]).encode_s < profile[VIDEO].encode_s
    assert adaedge.profile(bundle, repetitions=1)[VIDEO].encode_s > 0


def test_what_is_timed_again_crosses_again(mae):
    _, bundle = mae
    frames = shown(6)
    entry = next(entry for entry in bundle.manifest.points if entry.point == VIDEO)
    player = Player(bundle, entry, (0.1,), [(window,) for window in windows(bundle, frames)], frames)
    for _ in range(40):
        player.sides[0].time(0)
    assert {bytes(bundle.read(data).segments[0])[8] for data, _ in player._sent} == {1}


def test_an_example_says_where_its_channels_are():
    def build(shape, frames, **more):
        told = Preprocessing(size=(8, 8), frames=frames)
        return partial(adaedge.build, nn.Flatten(), (torch.zeros(shape),), preprocessing=told, **more)

    assert ExampleCall((torch.zeros(1, 3, 4, 8, 8),), {}, Preprocessing(size=(8, 8), frames=4)).layout == (
        0,
        4,
        1,
        2,
        3,
    )
    assert ExampleCall((torch.zeros(1, 4, 3, 8, 8),), {}, Preprocessing(size=(8, 8), frames=4)).layout == (
        0,
        1,
        4,
        2,
        3,
    )
    with pytest.raises(ModelError, match=r"example \(1, 3, 3, 8, 8\) of 3 frames with 3 channels does not say which"):
        build((1, 3, 3, 8, 8), 3)()
    for shape, frames in (((1, 3, 5, 8, 8), 4), ((1, 3, 8, 8), 4), ((1, 4, 8, 8, 3), 4)):
        with pytest.raises(
            ModelError, match=r"one clip \('N', 4, 3, 8, 8\) or \('N', 3, 4, 8, 8\) of 4 frames; the ex"
        ):
            build(shape, frames)()
    with pytest.raises(ModelError, match=r"one image \('N', 3, 8, 8\) of a frame; .*\(1, 3, 4, 8, 8\).*say how many"):
        build((1, 3, 4, 8, 8), 1)()
    with pytest.raises(CodecError, match=r"codec h264@24 fits none .*input \(uint8 \(1, 256, 8, 8, 3\)\)"):
        build((1, 256, 3, 8, 8), 256, space=adaedge.Space(codecs=["h264@24"]))()


def test_two_rates_refuse_more_than_there_is():
    with pytest.raises(ModelError, match=r"of 4 frames the slow clip has one in alpha, 1 to 4; got 5"):
        TwoRates(Tiny(), 4, 5)


@pytest.mark.slow
def test_r3d_18_by_name():
    model = load("torchvision:r3d_18", pretrained=False, model_args={"num_classes": 5})
    assert model.preprocessing.frames == 16
    net, bundle = built(model.module, (1, 3, 4, SIDE, SIDE), "layer2", frames=4)
    check_halves(net, bundle)
    check_slides(bundle)


@pytest.mark.slow
def test_slowfast_of_pytorchvideo():
    slowfast = pytest.importorskip("pytorchvideo.models.slowfast")
    torch.manual_seed(0)
    net = slowfast.create_slowfast(model_depth=18, model_num_class=5, head_pool_kernel_sizes=((8, 2, 2), (32, 2, 2)))
    net, bundle = built(TwoRates(net, 32, 4).eval(), (1, 3, 32, 64, 64), "net.blocks.2", frames=32, stride=2)
    check_halves(net, bundle)
    check_slides(bundle)
