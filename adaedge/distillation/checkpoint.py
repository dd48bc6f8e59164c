"""A training on disk: one safetensors file, nothing pickled, replaced in one step.

May import: ``errors``.

Tensors are named ``module/NAME`` and ``optimizer/NUMBER/NAME``; everything else is JSON in the file's metadata, under
``training``: version, epoch, step, the objective's sums so far, the optimiser's numbers, and the scale of the losses
where the precision has one.
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.optim import Optimizer

from adaedge.errors import TrainingError

VERSION = 1


@dataclass(frozen=True, slots=True)
class TrainingState:
    """Where a training stands.

    Attributes:
        epoch: the one that runs, from 0.
        step: steps of it that are done.
        sums: loss's name → sum over these steps.
    """

    epoch: int = 0
    step: int = 0
    sums: tuple[tuple[str, float], ...] = ()


def save(path: Path, module: nn.Module, optimizer: Optimizer, place: TrainingState, scaler: Any = None) -> None:
    """Write a training; a kill while it is written, or a disk that is full, leaves the file that was there.

    Raises:
        TrainingError: if it cannot be written.
    """
    numbers: dict[str, Any] = {}
    tensors = {f"module/{name}": tensor for name, tensor in module.state_dict().items()}
    state = optimizer.state_dict()
    for number, entries in state["state"].items():
        for name, value in entries.items():
            if isinstance(value, Tensor):
                tensors[f"optimizer/{number}/{name}"] = value
            else:
                numbers.setdefault(str(number), {})[name] = value
    document = {
        "version": VERSION,
        "epoch": place.epoch,
        "step": place.step,
        "sums": place.sums,
        "optimizer": {"numbers": numbers, "groups": state["param_groups"]},
        "scaler": scaler.state_dict() if scaler else None,
    }
    # safetensors refuses tensors that share memory, as tied weights do
    own = {name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in tensors.items()}
    write_whole(path, own, {"training": json.dumps(document)})


def write_whole(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    """Write a safetensors file beside its place, then put it there in one step.

    Raises:
        TrainingError: if it cannot be written; what was in its place stands.
    """
    partial = path.with_name(path.name + ".partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file(tensors, partial, metadata)
        partial.replace(path)
    except (OSError, safetensors.SafetensorError) as error:
        with suppress(OSError):
            partial.unlink()
        stands = "what it held before stands" if path.exists() else "nothing is there"
        raise TrainingError(
            f"{path} could not be written ({error}); {stands}. Make room, or name another place."
        ) from error


def restore(path: Path, module: nn.Module, optimizer: Optimizer, scaler: Any = None) -> TrainingState:
    """Put a training back into its module, its optimiser and the scale of its losses.

    Raises:
        TrainingError: if the file is no checkpoint, or one of another training.
    """
    document, tensors = _read(path)
    weights = {name.removeprefix("module/"): value for name, value in tensors.items() if name.startswith("module/")}
    entries: dict[int, dict[str, Any]] = {
        int(key): dict(value) for key, value in document["optimizer"]["numbers"].items()
    }
    for name, value in tensors.items():
        kind, _, rest = name.partition("/")
        if kind == "optimizer":
            number, _, entry = rest.partition("/")
            entries.setdefault(int(number), {})[entry] = value
    try:
        module.load_state_dict(weights)
        optimizer.load_state_dict({"state": entries, "param_groups": document["optimizer"]["groups"]})
    except (RuntimeError, ValueError) as error:
        raise TrainingError(f"{path} is a checkpoint of another training ({error}); name another file") from error
    if scaler and document.get("scaler"):
        scaler.load_state_dict(document["scaler"])
    return TrainingState(document["epoch"], document["step"], tuple((name, value) for name, value in document["sums"]))


def _read(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    try:
        with safetensors.safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except safetensors.SafetensorError as error:
        raise TrainingError(f"{path} is no safetensors file ({error}); delete it to start anew") from error
    document = json.loads(metadata.get("training", "{}"))
    if document.get("version") != VERSION:
        raise TrainingError(
            f"{path} is a checkpoint of version {document.get('version')}, this is version {VERSION}; "
            "delete it to start anew"
        )
    return document, tensors
