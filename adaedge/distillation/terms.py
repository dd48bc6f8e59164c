"""What is compared with what: the mapping that `distill` takes, read and checked.

May import: ``errors``.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import final

from torch import Tensor, nn

from adaedge.errors import TrainingError

Layer = str | None
"""Path of a module, whose output is meant; ``None`` for what the network returns."""
Loss = Callable[..., Tensor]
"""``loss(student, teacher)``: a scalar. One whose ``uses_labels`` is true gets the batch's labels as a third argument;
one with a method ``projector(student, teacher)`` is asked once for a module that the student's features go through."""
Pair = tuple[Layer, Layer | tuple[str, Layer]]
Losses = Mapping[Pair, "Loss | Weighted | Sequence[Loss | Weighted]"]


@final
@dataclass(frozen=True, slots=True)
class Weighted:
    """A loss that counts more or less than 1.

    Example:
        >>> from adaedge.distillation import FeatureMSE
        >>> Weighted(FeatureMSE(), 0.1).weight
        0.1
    """

    loss: Loss
    weight: float


@final
@dataclass(frozen=True, slots=True)
class Term:
    """One loss of a training.

    Attributes:
        student: the student's layer.
        teacher: name of the teacher; empty where there is one only.
        layer: the teacher's layer.
        loss: of both features.
        weight: how much it counts.
        name: of it in the log.
    """

    student: Layer
    teacher: str
    layer: Layer
    loss: Loss
    weight: float
    name: str

    @property
    def uses_labels(self) -> bool:
        """Whether the loss takes the batch's labels."""
        return bool(getattr(self.loss, "uses_labels", False))


def teachers_of(teacher: object) -> dict[str, nn.Module]:
    """Name → teacher; one teacher is called by no name.

    Raises:
        TrainingError: if one is no module, or is in training mode.
    """
    teachers = teacher if isinstance(teacher, Mapping) else {"": teacher}
    if not teachers:
        raise TrainingError("there is no teacher; give a module, or a mapping of names to modules")
    for name, net in teachers.items():
        called = f"the teacher {name!r}" if name else "the teacher"
        if not isinstance(net, nn.Module):
            raise TrainingError(f"{called} is a torch.nn.Module; got a {type(net).__name__}")
        if any(module.training for module in net.modules()):
            raise TrainingError(
                f"{called} is in training mode, in which dropout and batch-norm change its answers. Call"
                " `teacher.eval()` first."
            )
    return dict(teachers)


def terms_of(losses: Losses, teachers: Mapping[str, nn.Module], student: nn.Module) -> tuple[Term, ...]:
    """The terms of a mapping; what stands under ``None`` alone is learned from all teachers alike.

    Raises:
        TrainingError: if there are none, a layer or a teacher does not exist, or a loss is none.
    """
    if not isinstance(losses, Mapping) or not losses:
        raise TrainingError(
            f"losses maps pairs of layers to losses, such as {{(None, None): adaedge.SoftTargets(4.0)}}; got {losses!r}"
        )
    found = []
    for pair, value in losses.items():
        if not isinstance(pair, tuple) or len(pair) != 2:
            raise TrainingError(f"a key of losses is (student's layer, teacher's layer); got {pair!r}")
        own, theirs = pair
        check_layer(student, own, "student")
        sources = _sources(theirs, teachers)
        for one in value if isinstance(value, Sequence) else (value,):
            weighted = one if isinstance(one, Weighted) else Weighted(one, 1.0)
            if not callable(weighted.loss):
                raise TrainingError(f"the loss of {pair!r} is a callable of two tensors; got {weighted.loss!r}")
            for teacher, layer in sources:
                weight = weighted.weight / len(sources)
                found.append(Term(own, teacher, layer, weighted.loss, weight, _name(own, teacher, layer)))
    return tuple(_told_apart(found))


def check_layer(net: nn.Module, layer: object, role: str) -> None:
    """Refuse the path of a module that a network has not.

    Raises:
        TrainingError: if it has not.
    """
    if layer is None:
        return
    paths = [path for path, _ in net.named_modules() if path]
    if layer not in paths:
        near = difflib.get_close_matches(str(layer), paths, n=3, cutoff=0.0)
        raise TrainingError(
            f"the {role} has no layer {layer!r}; nearest: {', '.join(near) or 'it has none'}. `None` means what it"
            " returns; list all with `named_modules()`."
        )


def _sources(theirs: object, teachers: Mapping[str, nn.Module]) -> list[tuple[str, Layer]]:
    if isinstance(theirs, tuple):
        if len(theirs) != 2 or theirs[0] not in teachers:
            raise TrainingError(f"{theirs!r} is no (teacher, layer); the teachers are {', '.join(map(repr, teachers))}")
        sources = [(str(theirs[0]), theirs[1])]
    elif theirs is None or len(teachers) == 1:
        sources = [(name, theirs) for name in teachers]
    else:
        raise TrainingError(
            f"of several teachers, a layer is named with its own: ({next(iter(teachers))!r}, {theirs!r}); got"
            f" {theirs!r} alone"
        )
    for name, layer in sources:
        check_layer(teachers[name], layer, f"teacher {name!r}" if name else "teacher")
    return sources


def _name(own: Layer, teacher: str, layer: Layer) -> str:
    if own is None and layer is None:
        return f"outputs of {teacher}" if teacher else "outputs"
    theirs = ".".join(part for part in (teacher, layer or "output") if part)
    return f"{own or 'output'} from {theirs}"


def _told_apart(terms: Sequence[Term]) -> list[Term]:
    """Terms of one pair bear their losses' names too."""
    names = [term.name for term in terms]
    found: list[Term] = []
    for term in terms:
        name = term.name if names.count(term.name) == 1 else f"{term.name}, {type(term.loss).__name__}"
        while name in {other.name for other in found}:
            name += "'"
        found.append(Term(term.student, term.teacher, term.layer, term.loss, term.weight, name))
    return found
