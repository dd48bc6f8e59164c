"""What teachers said of each image, kept on disk, so that further epochs need not ask them.

May import: ``errors``; of this part ``checkpoint`` and ``terms``.

A folder of safetensors files, nothing pickled. A file holds the answers for the images of one batch that were new:
tensors ``0``, ``1`` …, one for each layer that is watched, samples along dimension 0; under ``images`` in the metadata
a JSON list of the images' hashes (BLAKE2b of their values, 16 bytes, as hexadecimal digits), in the same order. Files
of other teachers, of other weights or layers, lie in other folders. What was kept first stands, so that a training that
goes on after a kill reads what it would have read without one.
"""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, final

import safetensors
import torch
from torch import Tensor, nn

from adaedge.distillation.checkpoint import write_whole
from adaedge.distillation.terms import Layer
from adaedge.errors import TrainingError

Watched = Sequence[tuple[str, Layer]]


@final
class TeacherCache:
    """Answers of teachers by what the image is.

    Args:
        folder: where they are kept.
        teachers: name → teacher; another set, or other weights, reads nothing of these.
        watched: (teacher, layer) whose answers are kept.
        samples: how many images the loader has; where far more come, each epoch brings others, and no more are kept.
        precision: the mixed precision that they answer in; what was said in another is not read.
        process: of several, each keeps its own: they then read the same after a kill.

    Raises:
        TrainingError: if a file in the folder is not one of these.
    """

    def __init__(
        self,
        folder: Path,
        teachers: Mapping[str, nn.Module],
        watched: Watched,
        *,
        samples: int | None = None,
        precision: str = "no",
        process: int = 0,
    ) -> None:
        self._folder = folder / f"{_digest(teachers, watched, precision)}-{process}"
        self._limit = None if samples is None else 2 * samples
        self._places: dict[str, tuple[Path, int]] = {}
        for path in sorted(self._folder.glob("*.safetensors")):
            self._list(path, _images(path))

    def missing(self, images: Sequence[Tensor]) -> bool:
        """Whether the answer for one of the images is not kept."""
        return not all(key in self._places for key in _keys(images))

    @property
    def is_full(self) -> bool:
        """Whether far more images came than the loader has: no more are kept."""
        return self._limit is not None and len(self._places) >= self._limit

    def keep(self, images: Sequence[Tensor], answers: Sequence[Tensor]) -> None:
        """Keep the answers for those of the images that are new.

        Raises:
            TrainingError: if an answer is not one for each image, or the disk is full.
        """
        new = {key: row for row, key in reversed([*enumerate(_keys(images))]) if key not in self._places}
        for answer in answers:
            if not isinstance(answer, Tensor) or answer.dim() == 0 or len(answer) != len(images[0]):
                raise TrainingError(
                    f"a teacher's answer is kept as a tensor of one row for each of the {len(images[0])} images; got"
                    f" {tuple(answer.shape) if isinstance(answer, Tensor) else type(answer).__name__}. Leave `cache`"
                    " out."
                )
        rows = torch.tensor([*new.values()], dtype=torch.int64)
        tensors = {
            str(number): answer.detach().cpu().index_select(0, rows).contiguous()
            for number, answer in enumerate(answers)
        }
        path = self._folder / f"{len(self._places):012}.safetensors"
        write_whole(path, tensors, {"images": json.dumps([*new])})
        self._list(path, [*new])
        if self.is_full:
            warnings.warn(
                f"{len(self._places)} images came, twice as many as the loader has: each epoch brings others, as"
                f" augmentation does. Their teachers' answers are kept no more; leave `cache` out, and delete"
                f" {self._folder}.",
                UserWarning,
                stacklevel=2,
            )

    def read(self, images: Sequence[Tensor]) -> list[Tensor]:
        """The answers for images all of which are kept."""
        places = [self._places[key] for key in _keys(images)]
        by_file: dict[Path, list[int]] = {}
        for at, (path, _) in enumerate(places):
            by_file.setdefault(path, []).append(at)
        parts: list[list[Tensor]] = []
        for path, held in by_file.items():
            rows = torch.tensor([places[at][1] for at in held])
            with safetensors.safe_open(path, "pt") as file:
                parts.append([file.get_tensor(str(number))[rows] for number in range(len(file.keys()))])
        back = torch.tensor([at for held in by_file.values() for at in held]).argsort()
        return [torch.cat(tensors)[back].to(images[0].device) for tensors in zip(*parts, strict=True)]

    def _list(self, path: Path, keys: Sequence[str]) -> None:
        for row, key in enumerate(keys):
            self._places.setdefault(key, (path, row))


def _images(path: Path) -> list[str]:
    try:
        with safetensors.safe_open(path, "pt") as file:
            found: Any = json.loads((file.metadata() or {})["images"])
    except (safetensors.SafetensorError, KeyError, ValueError) as error:
        raise TrainingError(f"{path} holds no teacher's answers ({error}); delete it") from error
    return [str(key) for key in found]


def _keys(images: Sequence[Tensor]) -> list[str]:
    """A hash of each sample over all tensors that the network is called with."""
    tensors = [tensor.detach().cpu().contiguous() for tensor in images]
    flat = [tensor.reshape(len(tensor), -1).view(torch.uint8).numpy() for tensor in tensors]
    return [
        hashlib.blake2b(b"".join(part[at].tobytes() for part in flat), digest_size=16).hexdigest()
        for at in range(len(flat[0]))
    ]


def _digest(teachers: Mapping[str, nn.Module], watched: Watched, precision: str) -> str:
    found = hashlib.blake2b(repr((precision, [*watched])).encode(), digest_size=8)
    for name, net in teachers.items():
        for key, tensor in net.state_dict().items():
            found.update(f"{name}/{key}:{tensor.dtype}{tuple(tensor.shape)}".encode())
            found.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return found.hexdigest()
