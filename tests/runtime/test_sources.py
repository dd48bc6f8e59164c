import av
import numpy as np
import pytest
from PIL import Image

from adaedge.errors import SourceError
from adaedge.runtime import frames

COUNT = 60


def write_video(path, options=None):
    generator = np.random.default_rng(0)
    with av.open(str(path), "w", options=options or {}) as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for _ in range(COUNT):
            picture = av.VideoFrame.from_ndarray(generator.integers(0, 256, (48, 64, 3), dtype=np.uint8))
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
    return path


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    return write_video(tmp_path_factory.mktemp("video") / "clip.mp4", {"movflags": "faststart"})


def until_it_breaks(source):
    """The frames that came, and the error that ended them."""
    came = []
    with pytest.raises(SourceError) as error:
        came.extend(frames(source))
    return came, str(error.value)


def test_a_video_yields_its_frames(video):
    came = list(frames(video))
    assert len(came) == COUNT
    assert {(frame.shape, frame.dtype.name) for frame in came} == {((48, 64, 3), "uint8")}


def test_a_video_that_breaks_off_yields_what_it_had(video, tmp_path):
    short = tmp_path / "short.mp4"
    short.write_bytes(video.read_bytes()[: video.stat().st_size // 2])
    came, text = until_it_breaks(short)
    assert 10 < len(came) < COUNT
    assert f"breaks off after {len(came)} of {COUNT} frames. What came before it was used" in text


def test_a_video_with_garbage_in_the_middle_never_ends_silently(video, tmp_path):
    data = bytearray(video.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 20_000] = np.random.default_rng(1).bytes(20_000)
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(data)
    came, text = until_it_breaks(broken)
    assert came
    assert f"breaks off after {len(came)}" in text


@pytest.mark.parametrize("data", [b"", b"this is no video", bytes(range(256)) * 40])
def test_a_file_that_does_not_decode_is_refused(data, tmp_path):
    (tmp_path / "clip.mp4").write_bytes(data)
    came, text = until_it_breaks(tmp_path / "clip.mp4")
    assert not came
    assert "clip.mp4 does not decode" in text
    assert "Copy it again, or convert it to H.264 in MP4" in text


def test_a_file_without_video_is_refused(tmp_path):
    path = tmp_path / "sound.wav"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), format="s16", layout="mono")
        sound.sample_rate = 8000
        container.mux(stream.encode(sound))
        container.mux(stream.encode())
    assert "holds no video. Name a file with a video in it" in until_it_breaks(path)[1]


def test_a_video_without_a_frame_is_refused(tmp_path):
    path = tmp_path / "empty.avi"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        container.start_encoding()
    came, text = until_it_breaks(path)
    assert not came
    assert "empty.avi" in text
    assert "Copy it again" in text


def test_what_does_not_exist_is_refused(tmp_path):
    assert "Name a video file, a folder of images, or a camera" in until_it_breaks(tmp_path / "none.mp4")[1]


@pytest.mark.parametrize("camera", [97, "97", "/dev/video97"])
def test_a_camera_that_is_not_there_is_refused(camera):
    came, text = until_it_breaks(camera)
    assert not came
    assert "/dev/video97 does not decode" in text
    assert "Is the camera connected" in text


def test_a_folder_yields_its_images_by_name(tmp_path):
    for name, value in (("b.png", 2), ("a.jpg", 1), ("c.bmp", 3)):
        Image.fromarray(np.full((8, 8, 3), 50 * value, np.uint8)).save(tmp_path / name)
    Image.fromarray(np.full((8, 8), 200, np.uint8)).save(tmp_path / "d.png")  # grey
    (tmp_path / "notes.txt").write_text("not an image")
    came = list(frames(tmp_path))
    assert [int(frame.mean()) for frame in came] == [50, 100, 150, 200]
    assert came[-1].shape == (8, 8, 3)


def test_a_broken_image_is_named_and_those_before_it_are_kept(tmp_path):
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(b"\x89PNG nothing")
    came, text = until_it_breaks(tmp_path)
    assert len(came) == 1
    assert "b.png is not an image that decodes" in text


def test_a_folder_without_images_is_refused(tmp_path):
    assert "holds no images (.bmp, .gif" in until_it_breaks(tmp_path)[1]


def test_a_real_clip(data_dir):
    came = frames(data_dir / "clips" / "bottle-detection.mp4")
    assert next(came).shape == (360, 640, 3)
