"""The manifest: what a bundle holds, as data.

May import: ``errors``, ``operating_point``. The schema, version 4, is the dataclasses below, written as canonical JSON
(sorted keys, two spaces, a newline at the end). ``digest`` is the SHA-256 of that JSON with an empty ``digest``: it
names the bundle, and since ``files`` holds the hash of every other file, it covers them all.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from adaedge.bundle.preprocessing import Preprocessing
from adaedge.errors import AdaedgeError, BundleError, BundleVersionError, IntegrityError
from adaedge.operating_point import OperatingPoint

FORMAT = "adaedge-bundle"
VERSION = 4
NAME = "manifest.json"
WEIGHTS = "weights.safetensors"


@dataclass(frozen=True, slots=True)
class File:
    """A file of the bundle: its SHA-256 in hexadecimal, and its length."""

    sha256: str
    length_bytes: int


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """A tensor that enters, leaves or crosses: the graph's name for it, NumPy type, shape at the example's batch.

    Attributes:
        axis: the channel dimension, along which a codec keeps one range per channel; ``None`` where there is none.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    axis: int | None = None


@dataclass(frozen=True, slots=True)
class Slice:
    """A weight of a narrower level: part of a tensor that is stored once, for the widest.

    Attributes:
        tensor: name in ``weights.safetensors``.
        kept: for each dimension, what is kept of it: ``start, stop, start, stop, …`` of the runs of positions, in their
            order; empty where all is kept. A prefix of n is ``(0, n)``. Empty as a whole: all of the tensor.
    """

    tensor: str
    kept: tuple[tuple[int, ...], ...]


@dataclass(frozen=True, slots=True)
class Half:
    """One graph, for an engine to load.

    Attributes:
        graph: path of the ONNX file inside the bundle.
        inputs: what it takes, in its order.
        outputs: what it returns, in its order.
        macs: multiply-accumulates of one run, at the example's batch.
        weights: names of the initializers that it takes: each is one of the manifest's ``slices``, or a whole tensor of
            ``weights.safetensors``.
    """

    graph: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    macs: int
    weights: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Cut:
    """The two halves of the model at one split point, width and precision.

    The precision is the terminal's: the tail is the fp32 tail of the same width.

    Attributes:
        head: what the terminal runs; ``None`` at ``input``.
        tail: what finishes the frame; ``None`` at ``output``.
        payload_bytes: bytes of the crossing tensors in their own type, without a header.
        aliases: other module paths that end at this split point.
        bottleneck: path of the file of the bottleneck that was fitted here, at this width; ``None`` where none was.
        folded_tail: the tail with the bottleneck's decoder in its first operator, which takes coefficients instead of
            features; ``None`` where there is no bottleneck, or no operator that it folds into.
    """

    split: str
    width: float
    precision: str
    head: Half | None
    tail: Half | None
    payload_bytes: int
    aliases: tuple[str, ...] = ()
    bottleneck: str | None = None
    folded_tail: Half | None = None


@dataclass(frozen=True, slots=True)
class Accuracy:
    """How good a point was measured to be.

    Attributes:
        metric: its name, as ``adaedge.metrics`` has it; ``accuracy`` for a bare fraction.
        value: in [0, 1], higher is better.
        samples: number of samples.
        low: lower end of the 95 % interval.
        high: upper end of it.

    Raises:
        BundleError: if the value is no fraction.
    """

    metric: str
    value: float
    samples: int
    low: float
    high: float

    def __post_init__(self) -> None:
        if not 0 <= self.value <= 1:
            raise BundleError(f"accuracy is a fraction in [0, 1]; got {self.value}. Divide a percentage by 100.")


@dataclass(frozen=True, slots=True)
class PointEntry:
    """An operating point of the bundle, its mean payload with header, and its accuracy (``None``: not measured)."""

    split: str
    width: float
    precision: str
    codec: str
    payload_bytes: float
    accuracy: Accuracy | None = None

    @property
    def point(self) -> OperatingPoint:
        """The point itself."""
        return OperatingPoint(self.split, self.width, self.precision, self.codec)


@dataclass(frozen=True, slots=True)
class Manifest:
    """Everything a bundle says about itself.

    Attributes:
        model: name of the model that was built.
        adaedge: version of adaedge that built it.
        inputs: the model's inputs; an image is uint8 (N, H, W, 3).
        outputs: the model's outputs, flattened.
        files: path → hash, of every file but the manifest.
        cuts: every split point × width × precision.
        points: every operating point.
        slices: name → what it is a part of, of every weight that is not stored as it is.
        preprocessing: geometry and normalisation; ``None`` where the input is not an image.
        labels: name of each class; empty where there are none.
        trained: whether the weights were trained, or random.
        digest: SHA-256 of the manifest, the name of the bundle.

    Example:
        >>> manifest = Manifest("timm:resnet18", "0.1.0", (), (), {}, (), ())
        >>> Manifest.from_bytes(manifest.to_bytes()).model
        'timm:resnet18'
    """

    model: str
    adaedge: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    files: dict[str, File]
    cuts: tuple[Cut, ...]
    points: tuple[PointEntry, ...]
    slices: dict[str, Slice] = field(default_factory=dict)
    preprocessing: Preprocessing | None = None
    labels: tuple[str, ...] = ()
    trained: bool = True
    digest: str = field(default="")

    def to_bytes(self) -> bytes:
        """The manifest as canonical JSON, its digest filled in."""
        return _canonical(asdict(self.sealed()))

    def sealed(self) -> Manifest:
        """The same manifest with its digest filled in."""
        unsealed = asdict(self) | {"digest": ""}
        return replace(self, digest=hashlib.sha256(_canonical(unsealed)).hexdigest())

    @classmethod
    def from_bytes(cls, data: bytes) -> Manifest:
        """Read what ``to_bytes`` wrote, and refuse anything that differs from it by one byte.

        Raises:
            BundleError: if it is not a manifest.
            BundleVersionError: if another version of the format wrote it.
            IntegrityError: if a byte of it was changed.
        """
        try:
            document: dict[str, Any] = json.loads(data)
            written = (document.pop("format"), document.pop("version"))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise IntegrityError(
                f"{NAME} is corrupted: it is not the JSON of a manifest ({error}). Copy the bundle again."
            ) from error
        if written != (FORMAT, VERSION):
            raise BundleVersionError(
                f"{NAME} is of {written[0]!r} version {written[1]!r}; this adaedge reads {FORMAT!r} version {VERSION}."
                " Build the bundle again with `adaedge build`."
            )
        try:
            manifest = _manifest(document)
        except (AdaedgeError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise IntegrityError(
                f"{NAME} is corrupted: a field does not read ({error}). Copy the bundle again."
            ) from error
        if manifest.to_bytes() != data:
            raise IntegrityError(f"{NAME} is corrupted: its bytes do not match its digest. Copy the bundle again.")
        return manifest

    def cut(self, split: str, width: float = 1.0, precision: str = "fp32") -> Cut:
        """The halves at a split point, by its name or by any module path that ends there.

        Raises:
            BundleError: if the bundle does not hold it.
        """
        for cut in self.cuts:
            if (cut.width, cut.precision) == (width, precision) and (split == cut.split or split in cut.aliases):
                return cut
        held = [cut for cut in self.cuts if split == cut.split or split in cut.aliases]
        if held:
            levels = ", ".join(f"{cut.width:g} in {cut.precision}" for cut in held)
            raise BundleError(
                f"this bundle has no split point {split!r} at width {width:g} in {precision}; it has it at width"
                f" {levels}. Build it with `--widths {width:g} --precisions {precision}`."
            )
        splits = ", ".join(sorted({cut.split for cut in self.cuts}))
        raise BundleError(
            f"this bundle has no split point {split!r}; it has: {splits}. Build it with `--splits {split}`."
        )


def _canonical(document: dict[str, Any]) -> bytes:
    document = {"format": FORMAT, "version": VERSION} | document
    return (json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode()


def _manifest(document: dict[str, Any]) -> Manifest:
    return Manifest(
        **document
        | {
            "inputs": _specs(document["inputs"]),
            "outputs": _specs(document["outputs"]),
            "files": {path: File(**entry) for path, entry in document["files"].items()},
            "cuts": tuple(_cut(entry) for entry in document["cuts"]),
            "points": tuple(_point(entry) for entry in document["points"]),
            "slices": {name: _slice(entry) for name, entry in document["slices"].items()},
            "preprocessing": _preprocessing(document["preprocessing"]),
            "labels": tuple(document["labels"]),
        }
    )


def _specs(entries: list[dict[str, Any]]) -> tuple[TensorSpec, ...]:
    return tuple(TensorSpec(**entry | {"shape": tuple(entry["shape"])}) for entry in entries)


def _slice(entry: dict[str, Any]) -> Slice:
    return Slice(entry["tensor"], tuple(map(tuple, entry["kept"])))


def _half(entry: dict[str, Any] | None) -> Half | None:
    if entry is None:
        return None
    specs = {"inputs": _specs(entry["inputs"]), "outputs": _specs(entry["outputs"])}
    return Half(**entry | specs | {"weights": tuple(entry["weights"])})


def _cut(entry: dict[str, Any]) -> Cut:
    halves = {name: _half(entry[name]) for name in ("head", "tail", "folded_tail")}
    return Cut(**entry | halves | {"aliases": tuple(entry["aliases"])})


def _point(entry: dict[str, Any]) -> PointEntry:
    accuracy = entry["accuracy"]
    return PointEntry(**entry | {"accuracy": accuracy and Accuracy(**accuracy)})


def _preprocessing(entry: dict[str, Any] | None) -> Preprocessing | None:
    if entry is None:
        return None
    return Preprocessing(**entry | {key: tuple(entry[key]) for key in ("size", "mean", "std")})
