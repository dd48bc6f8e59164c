"""The manifest: what a bundle holds, as data.

May import: ``errors``, ``operating_point``, ``detection``; of this part ``entries``, ``preprocessing``,
``structure``. The schema, version 11, is the dataclasses below and those of ``entries``, written as canonical JSON
(sorted keys, two spaces, a newline at the end). ``digest`` is the SHA-256 of that JSON with an empty ``digest``: it
names the bundle, and since ``files`` holds the hash of every other file, it covers them all.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field, fields, is_dataclass, replace
from typing import Any

from adaedge.bundle.entries import Accuracy, Cut, File, IncrementalHalf, PointEntry, Slice, Subgraph, TensorSpec
from adaedge.bundle.preprocessing import Preprocessing
from adaedge.bundle.structure import Structure, check
from adaedge.detection import AnchorGrid, Postprocessing
from adaedge.errors import AdaedgeError, BundleError, BundleVersionError, IntegrityError
from adaedge.operating_point import KEPT, KeptCurve, Level, OperatingPoint

FORMAT = "adaedge-bundle"
VERSION = 11
NAME = "manifest.json"
WEIGHTS = "weights.safetensors"
_FULL = Level()


@dataclass(frozen=True, slots=True)
class Manifest:
    """Everything a bundle says about itself.

    Attributes:
        model: name of the model that was built.
        adaedge: version of adaedge that built it.
        inputs: the model's inputs; an image is uint8 (N, H, W, 3), a clip uint8 (N, frames, H, W, 3).
        outputs: the model's outputs, flattened.
        files: path → hash, of every file but the manifest.
        cuts: every split point × level.
        points: every operating point.
        slices: name → what it is a part of, of every weight that is not stored as it is.
        preprocessing: geometry and normalisation; ``None`` where the input is not an image.
        labels: name of each class; empty where there are none.
        trained: whether the weights were trained, or random.
        changes: amounts of change, ascending, at which codecs with a state were measured; the last is 1, a refresh.
        kept: how good the last answer is where it is kept; ``None`` where it never is.
        not_kept: why it never is, for people.
        answer: name of the answer codec: what becomes of the outputs before a user gets them.
        structure: how the model itself nests its outputs, as ``structure`` writes it; ``None`` for a tuple of them.
        postprocessing: what makes boxes, scores and labels of a detector's outputs, before the answer codec; ``None``
            where the outputs are the answer.
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
    changes: tuple[float, ...] = (1.0,)
    kept: KeptCurve | None = None
    not_kept: str = ""
    answer: str = "raw"
    structure: Structure = None
    postprocessing: Postprocessing | None = None
    digest: str = field(init=False, default="")
    _places: dict[tuple[str, Level], Cut] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        names = ((name, cut) for cut in reversed(self.cuts) for name in (*cut.aliases, cut.split))
        object.__setattr__(self, "_places", {(name, cut.level): cut for name, cut in names})
        check(self.structure, len(self.outputs))

    def to_bytes(self) -> bytes:
        """The manifest as canonical JSON, its digest filled in."""
        document = self._document()
        return _canonical(document | {"digest": _digest(document)})

    def _document(self) -> dict[str, Any]:
        """What is written: every field but what follows from the others."""
        return {entry.name: _plain(getattr(self, entry.name)) for entry in fields(self) if entry.init}

    def sealed(self) -> Manifest:
        """The same manifest with its digest filled in."""
        return self if self.digest else self._with(_digest(self._document()))

    def _with(self, digest: str) -> Manifest:
        sealed = replace(self)  # of which no digest is left: it would be that of other fields
        object.__setattr__(sealed, "digest", digest)
        return sealed

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
            document.pop("digest")  # it follows from the rest, and is compared with what was read
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
        plain = manifest._document()
        digest = _digest(plain)
        if _canonical(plain | {"digest": digest}) != data:
            raise IntegrityError(f"{NAME} is corrupted: its bytes do not match its digest. Copy the bundle again.")
        return manifest._with(digest)

    def cut(self, split: str, level: Level = _FULL) -> Cut:
        """The halves at a split point, by its name or by any module path that ends there.

        Raises:
            BundleError: if the bundle does not hold it.
        """
        found = self._places.get((split, level))
        if found is not None:
            return found
        if split == KEPT.split:
            raise BundleError("`kept` has no halves: it is a stream's last answer. Run frames through a `Terminal`.")
        networks = sorted({cut.level.network for cut in self.cuts})
        if level.network not in networks:
            raise BundleError(
                f"this bundle has no network {level.network!r}; it has: {', '.join(networks)}. Build it with"
                f" `--network {level.network}=MODEL`."
            )
        held = [place for name, place in self._places if name == split]
        if held:
            raise BundleError(
                f"this bundle has no split point {split!r} at {level}; it has it at {', '.join(map(str, held))}."
                f" Build it with `--widths {level.width:g} --precisions {level.precision}`."
            )
        splits = ", ".join(sorted({cut.split for cut in self.cuts}))
        raise BundleError(
            f"this bundle has no split point {split!r}; it has: {splits}. Build it with `--splits {split}`."
        )


def _canonical(document: dict[str, Any]) -> bytes:
    document = {"format": FORMAT, "version": VERSION} | document
    return (json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode()


def _digest(document: dict[str, Any]) -> str:
    return hashlib.sha256(_canonical(document | {"digest": ""})).hexdigest()


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
            "postprocessing": _postprocessing(document["postprocessing"]),
            "labels": tuple(document["labels"]),
            "changes": tuple(document["changes"]),
            "kept": KeptCurve.of(document["kept"]),
        }
    )


def _plain(value: Any) -> Any:
    """A field as JSON has it."""
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    return [_plain(one) for one in value] if isinstance(value, tuple | list) else value


def _specs(entries: list[dict[str, Any]]) -> tuple[TensorSpec, ...]:
    return tuple(TensorSpec(**entry | {"shape": tuple(entry["shape"])}) for entry in entries)


def _slice(entry: dict[str, Any]) -> Slice:
    return Slice(entry["tensor"], tuple(map(tuple, entry["kept"])))


def _half(entry: dict[str, Any] | None) -> Subgraph | None:
    if entry is None:
        return None
    specs = {"inputs": _specs(entry["inputs"]), "outputs": _specs(entry["outputs"])}
    return Subgraph(**entry | specs | {"weights": tuple(entry["weights"])})


def _cut(entry: dict[str, Any]) -> Cut:
    halves: dict[str, Any] = {name: _half(entry[name]) for name in ("head", "tail", "folded_tail")}
    halves |= {name: _incremental(entry[name]) for name in ("incremental", "incremental_tail")}
    return Cut(**entry | halves | {"aliases": tuple(entry["aliases"]), "level": Level(**entry["level"])})


def _incremental(entry: dict[str, Any] | None) -> IncrementalHalf | None:
    if entry is None:
        return None
    graphs = {name: _half(entry[name]) for name in ("whole", "plain")}
    return IncrementalHalf(**entry | graphs | {"segments": tuple(map(_half, entry["segments"]))})


def _point(entry: dict[str, Any]) -> PointEntry:
    accuracy = entry["accuracy"]
    read = {
        "point": OperatingPoint(**entry["point"]),
        "accuracy": accuracy and Accuracy(**accuracy),
        "next_bytes": tuple(entry["next_bytes"]),
    }
    return PointEntry(**entry | read)


def _preprocessing(entry: dict[str, Any] | None) -> Preprocessing | None:
    if entry is None:
        return None
    return Preprocessing(**entry | {key: tuple(entry[key]) for key in ("size", "mean", "std")})


def _postprocessing(entry: dict[str, Any] | None) -> Postprocessing | None:
    if entry is None:
        return None
    read = {key: tuple(entry[key]) for key in ("size", "image", "weights")}
    return Postprocessing(**entry | read | {"grids": tuple(_grid(grid) for grid in entry["grids"])})


def _grid(entry: dict[str, Any]) -> AnchorGrid:
    return AnchorGrid(tuple(entry["shape"]), tuple(entry["step"]), tuple(map(tuple, entry["cells"])))
