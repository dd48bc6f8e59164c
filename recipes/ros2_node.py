"""A ROS 2 node that answers an image topic with a bundle: on the robot, and on an edge server while it can be reached.

    python -m recipes.ros2_node --bundle lite0.bundle --profile profile.json --edge edge.local:50051

It subscribes to ``sensor_msgs/Image`` on ``--topic`` and publishes ``std_msgs/String`` on ``~/answer``: JSON with the
stamp of the image, class and label, who answered, point, seconds and joules. ROS is imported in `main` only. A frame
that comes while another is answered takes the place of those that wait.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from adaedge import Bundle, GrpcLink, Profile, Scheduler, Terminal
from adaedge.energy import COMPUTE, RADIOS, EnergyModel
from adaedge.errors import SourceError
from adaedge.runtime import Link, NoLink, Result, default_folder
from adaedge.runtime.credentials import CERTIFICATE, TOKEN
from adaedge.scheduling import ProbePlan

CHANNELS = {"rgb8": (0, 1, 2), "bgr8": (2, 1, 0), "rgba8": (0, 1, 2), "bgra8": (2, 1, 0), "mono8": (0, 0, 0)}
"""Where red, green and blue are in a pixel: https://docs.ros.org/en/rolling/p/sensor_msgs/msg/Image.html"""
BYTES = {"rgb8": 3, "bgr8": 3, "rgba8": 4, "bgra8": 4, "mono8": 1}
Say = Callable[[str], None]


class ImageMessage(Protocol):
    """What is read of a ``sensor_msgs/Image``."""

    height: int
    width: int
    step: int
    encoding: str
    data: Any


def frame_of(message: ImageMessage) -> npt.NDArray[np.uint8]:
    """The image of a message as a uint8 frame (H, W, 3) in RGB; its rows may be padded to ``step`` bytes.

    Raises:
        SourceError: if its encoding is another, or its data has another length.
    """
    if message.encoding not in CHANNELS:
        raise SourceError(
            f"images of encoding {message.encoding!r} are not read; there are: {', '.join(CHANNELS)}. Convert the topic"
            " with image_proc."
        )
    data, pixel = np.frombuffer(bytes(message.data), np.uint8), BYTES[message.encoding]
    if message.step < message.width * pixel or data.size != message.step * message.height:
        raise SourceError(
            f"an image of {message.width} × {message.height} in {message.encoding} has rows of {message.step} bytes and"
            f" {data.size} bytes of data: they do not fit"
        )
    pixels = data.reshape(message.height, -1)[:, : message.width * pixel].reshape(message.height, message.width, pixel)
    return np.ascontiguousarray(pixels[..., list(CHANNELS[message.encoding])])


def told(terminal: Terminal, result: Result, stamp: Any) -> str:
    """An answer as the JSON that is published."""
    best, labels = terminal.bundle.answers.best_class(result.answer), terminal.bundle.manifest.labels
    return json.dumps({
        "stamp": {"sec": stamp.sec, "nanosec": stamp.nanosec},
        "class": best,
        "label": labels[best] if best is not None and best < len(labels) else None,
        "outputs": terminal.bundle.answers.described(result.answer),
        "answered_by": result.measurement.answered_by,
        "point": str(result.decision.point),
        "latency_s": result.measurement.latency_s,
        "energy_j": result.measurement.energy.total_j,
    })  # fmt: skip


def subscriber(terminal: Terminal, publish: Say, warn: Say) -> Callable[[Any], None]:
    """What is called with each image: it answers, and publishes; an image that cannot be read is said and left out."""

    def on_image(message: Any) -> None:
        try:
            result = terminal.infer(frame_of(message))
        except SourceError as error:
            warn(str(error))
        else:
            publish(told(terminal, result, message.header.stamp))

    return on_image


def terminal_of(options: argparse.Namespace) -> Terminal:
    """The terminal that the options describe; without ``--edge`` it computes everything here."""
    costs = Profile.load(options.profile)
    bundle = Bundle.load(options.bundle, engine=costs.terminal_engine)
    energy = EnergyModel(COMPUTE[options.compute], RADIOS[options.radio])
    link: Link = NoLink()
    if options.edge is None:
        local = {point: cost for point, cost in costs.items() if point.is_local}
        costs, plan = Profile(local, costs.bundle, costs.terminal, costs.edge, kept=costs.kept), ProbePlan.never()
    else:
        folder = options.state or default_folder()
        token = (folder / TOKEN).read_text(encoding="utf-8").strip()
        link, plan = GrpcLink(options.edge, certificate=folder / CERTIFICATE, token=token), None
    scheduler = Scheduler(costs, energy, deadline_s=options.deadline, accuracy_floor=options.accuracy_floor)
    return Terminal(bundle, scheduler, link, plan=plan)


def parser() -> argparse.ArgumentParser:
    """The node's options."""
    found = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    found.add_argument("--bundle", type=Path, required=True)
    found.add_argument("--profile", type=Path, required=True, help="what `adaedge profile --edge` wrote")
    found.add_argument("--edge", help="HOST:PORT of the edge server")
    found.add_argument("--state", type=Path, help="the folder of its certificate and token")
    found.add_argument("--topic", default="/image_raw")
    for name, default in (("--deadline", 0.1), ("--accuracy-floor", 0.9)):
        found.add_argument(name, type=float, default=default)
    found.add_argument("--compute", choices=COMPUTE, default="raspberry-pi-5")
    found.add_argument("--radio", choices=RADIOS, default="nr-low-band")
    return found


def main(arguments: list[str] | None = None) -> None:
    """Run the node until ROS stops it."""
    options, rest = parser().parse_known_args(arguments)
    import rclpy
    from rclpy.qos import QoSProfile, ReliabilityPolicy
    from sensor_msgs.msg import Image
    from std_msgs.msg import String

    rclpy.init(args=rest)
    node = rclpy.create_node("adaedge")
    publisher = node.create_publisher(String, "~/answer", 10)
    newest = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
    try:
        with terminal_of(options) as terminal:
            answer = subscriber(terminal, lambda text: publisher.publish(String(data=text)), node.get_logger().warning)
            node.create_subscription(Image, options.topic, answer, newest)
            rclpy.spin(node)
    finally:
        node.destroy_node()
        rclpy.try_shutdown()


if __name__ == "__main__":
    main()
