import numpy as np
import pytest

from adaedge.clip import Clip
from adaedge.errors import SourceError
from adaedge.matrix import PlayedClip, play
from adaedge.matrix.clip_run import halves_of
from adaedge.metrics import Divergence
from adaedge.operating_point import OperatingPoint
from adaedge.stream import Playback

LOCAL = OperatingPoint("output")
JPEG, VIDEO, CUT = (
    OperatingPoint(*one)
    for one in (("input", 1.0, "fp32", "jpeg@90"), ("input", 1.0, "fp32", "h264@20"), ("relu", 1.0, "fp32", "u8"))
)


def test_each_half_holds_what_its_own_frames_send_and_answer(bundle, frames, played):
    for half, own in ((played.first, frames[:6]), (played.second, frames[6:])):
        assert len(half) == 6
        inputs = [(bundle.preprocess(frame),) for frame in own]
        assert half.payloads[JPEG].tolist() == [len(bundle.encode(JPEG, one)) for one in inputs]
        for at, one in enumerate(inputs):
            for point in (LOCAL, CUT):
                np.testing.assert_array_equal(half.answer(point, at)[0], bundle.run(point, one)[0])
    assert LOCAL not in played.second.payloads


def test_a_codec_with_a_state_is_played_in_order(bundle, frames, played):
    playback = Playback(bundle, VIDEO)
    sizes = [len(playback.encode((bundle.preprocess(frame),))) for frame in frames[6:]]
    assert played.second.payloads[VIDEO].tolist() == sizes
    assert sizes[1] < sizes[0] / 2, "nothing moves yet"


def test_frames_beyond_the_last_begin_anew(played):
    np.testing.assert_array_equal(played.second.answer(CUT, 7)[0], played.second.answer(CUT, 1)[0])


def test_a_half_prices_a_profile_by_its_own_bytes_and_judges_cautiously(network, played):
    costs = played.second.costs(network.profile, Divergence())
    assert costs[JPEG].payload_bytes == pytest.approx(played.second.payloads[JPEG].mean())
    assert costs[JPEG].payload_bytes != network.profile[JPEG].payload_bytes
    assert costs[LOCAL].accuracy == 1.0
    frames = range(6)
    scored = Divergence().score(*([played.second.answer(point, at) for at in frames] for point in (LOCAL, JPEG)))
    assert costs[JPEG].accuracy == scored.low <= scored.value
    assert played.second.costs(network.profile, None)[JPEG].accuracy is None


def test_what_was_played_is_read_back(tmp_path, played):
    played.save(tmp_path / "made.npz")
    again = PlayedClip.load(tmp_path / "made.npz")
    assert (again.clip, again.prepare_s, again.kept) == (played.clip, played.prepare_s, played.kept)
    for one, other in ((again.first, played.first), (again.second, played.second)):
        assert one.local == other.local
        assert one.by_change == other.by_change
        assert {*one.payloads} == {*other.payloads}
        assert {*one.answers} == {*other.answers}
        np.testing.assert_array_equal(one.lumas, other.lumas)
        for point, answers in other.answers.items():
            np.testing.assert_array_equal(one.answers[point][0], answers[0])
    assert [path.name for path in tmp_path.iterdir()] == ["made.npz"]


def test_a_file_that_is_none_says_the_way_out(tmp_path):
    path = tmp_path / "made.npz"
    path.write_bytes(b"PK, but no archive")
    with pytest.raises(SourceError, match=r"made\.npz is no clip that was played .*Delete it: it is measured anew"):
        PlayedClip.load(path)


def test_a_clip_too_short_for_two_halves_is_refused(bundle, frames):
    with pytest.raises(SourceError, match=r"four frames or more, 0\.2 s apart; short has 3"):
        play(bundle, Clip(frames[:3], 5.0), "short", period_s=0.2)


def test_frames_are_taken_a_period_apart(frames):
    numbered = [np.full((8, 8, 3), value, np.uint8) for value in range(20)]
    first, second = halves_of(Clip(numbered, 10.0), "numbered", 0.25, 3)
    assert [int(frame[0, 0, 0]) for frame in first] == [0, 2, 5]
    assert [int(frame[0, 0, 0]) for frame in second] == [10, 12, 15]


def test_only_the_points_asked_for_are_played(bundle, clip):
    found = play(bundle, clip, "made", period_s=0.2, points=[JPEG], judged=False)
    assert {*found.first.payloads} == {JPEG}
    assert found.first.answers == {}
    assert found.first.local == (LOCAL,)
