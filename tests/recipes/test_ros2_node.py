"""The ROS 2 node: it imports without ROS, and answers a topic of a fake one."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

from adaedge.errors import SourceError
from adaedge.operating_point import Cost, OperatingPoint, Profile
from adaedge.runtime import Credentials, EdgeServer

sys.path.append(str(Path(__file__).parents[2]))
from benchmarks.tiny_bundle import tiny_bundle
from recipes import ros2_node

ROOT = Path(__file__).parents[2]
LOCAL, SENT = OperatingPoint("output"), OperatingPoint("relu", codec="u8")


def message(frame, encoding="rgb8", padding=0):
    rows = frame.reshape(len(frame), -1)
    data = np.pad(rows, ((0, 0), (0, padding))).tobytes()
    return SimpleNamespace(
        height=frame.shape[0], width=frame.shape[1], encoding=encoding, step=rows.shape[1] + padding, data=data,
        header=SimpleNamespace(stamp=SimpleNamespace(sec=12, nanosec=34), frame_id="camera"),
    )  # fmt: skip


class Ros:
    """In the place of rclpy and its messages: images are there, and what is published is kept."""

    def __init__(self, images):
        self.images, self.said, self.warned, self.calls = images, [], [], []

    def install(self, monkeypatch):
        modules = {
            "rclpy": {"init": self.init, "create_node": self.create_node, "spin": self.spin, "try_shutdown": self.stop},
            "rclpy.qos": {"QoSProfile": SimpleNamespace, "ReliabilityPolicy": SimpleNamespace(BEST_EFFORT="best")},
            "sensor_msgs": {}, "sensor_msgs.msg": {"Image": "Image"},
            "std_msgs": {}, "std_msgs.msg": {"String": SimpleNamespace},
        }  # fmt: skip
        for name, content in modules.items():
            module = ModuleType(name)
            module.__dict__.update(content)
            monkeypatch.setitem(sys.modules, name, module)

    def init(self, args):
        self.calls.append(("init", args))

    def create_node(self, name):
        self.calls.append(("node", name))
        return self

    def create_publisher(self, kind, topic, depth):
        self.calls.append(("publish", topic))
        return SimpleNamespace(publish=lambda one: self.said.append(json.loads(one.data)))

    def create_subscription(self, kind, topic, callback, qos):
        self.calls.append(("subscribe", topic, qos.depth, qos.reliability))
        self.callback = callback

    def get_logger(self):
        return SimpleNamespace(warning=self.warned.append)

    def spin(self, node):
        for image in self.images:
            self.callback(image)

    def destroy_node(self):
        self.calls.append(("destroyed",))

    def stop(self):
        self.calls.append(("shut down",))


@pytest.fixture
def frame():
    return np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)


@pytest.fixture
def bundle(tmp_path):
    made = tiny_bundle()
    made.save(tmp_path / "tiny.bundle")
    sent = Cost(0.001, 0.001, 2300, 0.001, 0.001, 150, 0.001, accuracy=1.0)
    costs = {LOCAL: Cost(head_s=0.5, accuracy=1.0), SENT: sent}
    Profile(costs, made.digest, "robot", "edge").save(tmp_path / "profile.json")
    return made


def options(tmp_path, *more):
    return ["--bundle", str(tmp_path / "tiny.bundle"), "--profile", str(tmp_path / "profile.json"), *more]


def test_it_imports_without_ros_and_says_how_it_is_used():
    done = subprocess.run(
        [sys.executable, "-m", "recipes.ros2_node", "--help"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "--topic" in done.stdout
    assert "rclpy" not in sys.modules


def test_each_image_is_answered_and_published(bundle, tmp_path, frame, monkeypatch):
    ros = Ros([message(frame), message(frame[..., ::-1], "bgr8")])
    ros.install(monkeypatch)
    ros2_node.main([*options(tmp_path, "--topic", "/front/image", "--deadline", "5"), "--ros-args", "-r", "__ns:=/r7"])
    assert ("init", ["--ros-args", "-r", "__ns:=/r7"]) in ros.calls
    assert ("subscribe", "/front/image", 1, "best") in ros.calls
    assert ros.calls[-2:] == [("destroyed",), ("shut down",)]
    first, second = ros.said
    assert first["class"] == int(bundle.run(LOCAL, bundle.inputs_of(frame))[0].argmax()) == second["class"]
    assert first["stamp"] == {"sec": 12, "nanosec": 34}
    assert (first["answered_by"], first["point"]) == ("terminal", str(LOCAL))
    assert first["energy_j"] > 0


def test_an_edge_server_answers_where_there_is_one(bundle, tmp_path, frame, monkeypatch):
    credentials = Credentials.stored(tmp_path / "state")
    ros = Ros([message(frame)] * 2)
    ros.install(monkeypatch)
    with EdgeServer(bundle, credentials=credentials) as server:
        ros2_node.main(
            options(tmp_path, "--edge", server.address, "--state", str(tmp_path / "state"), "--deadline", "5",
                    "--radio", "wifi-2012")
        )  # fmt: skip
    assert [one["answered_by"] for one in ros.said] == ["edge", "edge"]


def test_an_image_that_cannot_be_read_is_said_and_the_next_is_answered(bundle, tmp_path, frame, monkeypatch):
    ros = Ros([message(frame, "16UC1"), message(frame)])
    ros.install(monkeypatch)
    ros2_node.main(options(tmp_path, "--deadline", "5"))
    assert len(ros.said) == 1
    assert len(ros.warned) == 1
    assert "'16UC1' are not read" in ros.warned[0]


@pytest.mark.parametrize("padding", [0, 5])
def test_pixels_are_red_green_and_blue_whatever_the_encoding(frame, padding):
    alpha = np.concatenate([frame, frame[..., :1]], axis=2)
    assert np.array_equal(ros2_node.frame_of(message(frame, "rgb8", padding)), frame)
    assert np.array_equal(ros2_node.frame_of(message(frame, "bgr8", padding)), frame[..., ::-1])
    assert np.array_equal(ros2_node.frame_of(message(alpha, "rgba8", padding)), frame)
    assert np.array_equal(ros2_node.frame_of(message(alpha, "bgra8", padding)), frame[..., ::-1])
    grey = frame[..., :1]
    assert np.array_equal(ros2_node.frame_of(message(grey, "mono8", padding)), np.repeat(grey, 3, axis=2))


def test_an_image_whose_sizes_contradict_each_other_is_refused(frame):
    short = message(frame)
    short.data = short.data[:-1]
    narrow = message(frame)
    narrow.step = 10
    for one in (short, narrow):
        with pytest.raises(SourceError, match="they do not fit"):
            ros2_node.frame_of(one)
