"""`distill`: a student learns from one teacher or several.

May import: ``errors``, ``graph``; of this part ``layer_outputs``, ``losses``, ``objectives``, ``teacher_cache``,
``terms``, ``training`` and ``weight_average``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, final

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import AdamW, Optimizer
from torch.utils.data import DataLoader

from adaedge.distillation.layer_outputs import Seen, inputs_of, labels_of, watch_layers
from adaedge.distillation.objectives import Backward
from adaedge.distillation.teacher_cache import TeacherCache
from adaedge.distillation.terms import Loss, Losses, Term, teachers_of, terms_of
from adaedge.distillation.training import Plan, Row, default_accelerator, train
from adaedge.distillation.weight_average import WeightAverage
from adaedge.errors import TrainingError
from adaedge.graph.capture import evaluating

MakeOptimizer = Callable[[Iterable[nn.Parameter]], Optimizer]


def distill(
    student: nn.Module,
    teacher: nn.Module | Mapping[str, nn.Module],
    loader: DataLoader[Any],
    *,
    losses: Losses | None = None,
    loss: Loss | None = None,
    epochs: int | None = None,
    plan: Plan | None = None,
    label_weight: float = 0.0,
    optimizer: MakeOptimizer | None = None,
    ema: float | None = None,
    cache: str | Path | None = None,
    accelerator: Accelerator | None = None,
) -> list[Row]:
    """Teach a student, in place, what teachers answer.

    On one device or many (``accelerate launch``), in the accelerator's precision, with as many batches a step as it
    accumulates. Labels are not needed. Projectors, where a loss needs them, learn with the student and are dropped.

    Args:
        student: learns; left in evaluation mode.
        teacher: in evaluation mode; or name → teacher. Nothing of it is changed.
        loader: batches: a tensor of images, (images, labels), or a dictionary of the networks' keyword arguments and
            ``labels``.
        losses: (student's layer, teacher's layer) → loss, or `Weighted` loss, or several of them. A layer is the path
            of a module; ``None`` means the output. Of several teachers, a layer is (teacher, layer), and ``None`` means
            the output of all, each with its share of the weight.
        loss: short for ``losses={(None, None): loss}``.
        epochs: passes over the data; short for ``plan=Plan(epochs)``.
        plan: epochs, schedule, seed, checkpoint and log.
        label_weight: of the cross-entropy against the batch's labels beside the losses.
        optimizer: makes the optimiser from the parameters; AdamW at a rate of 0.001 without it.
        ema: decay of a running average of the weights, which the student then has in the end; 0.999 or so.
        cache: a folder for what the teachers answered; further epochs, and further trainings, read it. It helps where
            the same images come again: not with augmentation.
        accelerator: device, precision and accumulation; see `train`.

    Returns:
        One row an epoch that this run finished: the mean of each loss, without its weight, and of their weighted sum.

    Raises:
        TrainingError: if a layer does not exist, no projector joins two shapes, a teacher is in training mode, the
            loader has no images, or labels are missing that a loss needs; and as `train` does.

    Example:
        >>> from adaedge.distillation import FeatureMSE, SoftTargets
        >>> _ = torch.manual_seed(0)
        >>> teacher = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 4)).eval()
        >>> student = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 4))
        >>> loader = DataLoader(torch.rand(64, 8), batch_size=16)
        >>> losses = {(None, None): SoftTargets(4.0), ("0", "0"): FeatureMSE()}
        >>> rows = distill(student, teacher, loader, losses=losses, epochs=20)
        >>> sorted(rows[0]), rows[-1]["loss"] < rows[0]["loss"] / 2
        (['0 from 0', 'loss', 'outputs'], True)
    """
    if loss is not None and losses is None:
        losses = {(None, None): loss}
    elif losses is None or loss is not None:
        raise TrainingError("give `losses`, a mapping of pairs of layers, or `loss`, one of the outputs; not both")
    if (epochs is None) == (plan is None):
        raise TrainingError("give `epochs`, or a `plan` that has them; not both")
    teachers = teachers_of(teacher)
    _check_apart(student, teachers)
    terms = terms_of(losses, teachers, student)
    accelerator = accelerator or default_accelerator()
    for net in (student, *teachers.values()):
        net.to(accelerator.device)
    first = _first_batch(loader, accelerator)
    if (label_weight or any(term.uses_labels for term in terms)) and labels_of(first) is None:
        raise TrainingError("the cross-entropy of labels needs them; let the loader give (images, labels)")
    lesson = _Lesson(teachers, terms, label_weight)
    projectors = lesson.projectors(student, first).to(accelerator.device)
    if cache is not None:
        samples = len(loader.dataset) if hasattr(loader.dataset, "__len__") else None
        lesson.cache = TeacherCache(
            Path(cache),
            teachers,
            lesson.watched,
            samples=samples,
            precision=str(accelerator.mixed_precision),
            process=accelerator.process_index,
        )
    module = _Trained(student, projectors, ema)
    parameters = [*student.parameters(), *projectors.parameters()]
    made = (optimizer or partial(AdamW, lr=1e-3))([each for each in parameters if each.requires_grad])
    objective = partial(lesson.teach, student, projectors)
    rows = train(
        module, loader, objective, made, plan or Plan(epochs or 0), accelerator=accelerator, stepped=module.stepped
    )
    module.finish()
    return rows


@final
class _Trained(nn.Module):
    """All that a checkpoint holds: the student, its projectors, and the average of its weights."""

    def __init__(self, student: nn.Module, projectors: nn.ModuleList, ema: float | None) -> None:
        super().__init__()
        self.student, self.projectors = student, projectors
        self.average = None if ema is None else WeightAverage(student, ema)

    def stepped(self) -> None:
        if self.average is not None:
            self.average.update(self.student)

    def finish(self) -> None:
        if self.average is not None:
            self.student.load_state_dict(self.average.net.state_dict())


@final
@dataclass(slots=True)
class _Lesson:
    """What a batch teaches: the teachers' answers and how the student's are compared with them."""

    teachers: Mapping[str, nn.Module]
    terms: Sequence[Term]
    label_weight: float
    cache: TeacherCache | None = None

    @property
    def watched(self) -> list[tuple[str, str | None]]:
        """(teacher, layer) of all terms, each once."""
        return list(dict.fromkeys((term.teacher, term.layer) for term in self.terms))

    def projectors(self, student: nn.Module, batch: Any) -> nn.ModuleList:
        """One for each term, an identity where none is needed. Runs all losses once, so that they fail before training.

        Raises:
            TrainingError: if a network does not take the batch, or a loss does not take what they return.
        """
        with torch.no_grad(), torch.random.fork_rng():
            with evaluating(student):
                found = _tried(student, batch, [term.student for term in self.terms], "student")
            wanted = self._asked(batch)
            made = nn.ModuleList()
            for term in self.terms:
                theirs = wanted[term.teacher, term.layer]
                make = getattr(term.loss, "projector", None)
                try:
                    own = make(found[term.student], theirs) if make else None
                    made.append(own or nn.Identity())
                    made[-1].to(inputs_of(batch)[0].device)
                    self._compared(term, made[-1], found, theirs, batch)
                except TrainingError as error:
                    raise TrainingError(f"{term.name}: {error}") from error
                except Exception as error:  # whatever a loss of the user's own raises
                    raise TrainingError(
                        f"{term.name}: {type(term.loss).__name__} does not take what they return, the student"
                        f" {_in_words(found[term.student])} and the teacher {_in_words(theirs)}: {error}"
                    ) from error
        return made

    def teach(self, student: nn.Module, projectors: nn.ModuleList, batch: Any, backward: Backward) -> dict[str, Tensor]:
        """Gradients of one batch."""
        wanted = self._answers(batch)
        found = watch_layers(student, batch, {term.student for term in self.terms})
        losses, total = {}, torch.zeros((), device=inputs_of(batch)[0].device)
        for term, projector in zip(self.terms, projectors, strict=True):
            loss = self._compared(term, projector, found, wanted[term.teacher, term.layer], batch)
            total = total + term.weight * loss
            losses[term.name] = loss.detach()
        if self.label_weight:
            loss = functional.cross_entropy(found[None].float(), labels_of(batch))  # type: ignore[arg-type]
            total = total + self.label_weight * loss
            losses["labels"] = loss.detach()
        backward(total)
        return losses | {"loss": total.detach()}

    def _compared(self, term: Term, projector: nn.Module, found: Seen, theirs: Any, batch: Any) -> Tensor:
        own = found[term.student]
        own = _single(projector(own)) if isinstance(own, Tensor) else own
        labels = (labels_of(batch),) if term.uses_labels else ()
        return term.loss(own, _single(theirs), *labels)

    def _answers(self, batch: Any) -> dict[tuple[str, str | None], Any]:
        images = inputs_of(batch)
        if self.cache is None or (self.cache.is_full and self.cache.missing(images)):
            return self._asked(batch)
        if self.cache.missing(images):
            self.cache.keep(images, [*self._asked(batch).values()])
        return dict(zip(self.watched, self.cache.read(images), strict=True))

    def _asked(self, batch: Any) -> dict[tuple[str, str | None], Any]:
        with torch.no_grad():
            seen = {
                name: _tried(net, batch, [layer for teacher, layer in self.watched if teacher == name], "teacher")
                for name, net in self.teachers.items()
            }
        return {(name, layer): seen[name][layer] for name, layer in self.watched}


def _tried(net: nn.Module, batch: Any, layers: Iterable[str | None], role: str) -> Seen:
    """What `watch_layers` sees; what the network itself raises is told as what it is."""
    try:
        return watch_layers(net, batch, layers)
    except TrainingError:
        raise
    except Exception as error:  # whatever the user's own code raises
        raise TrainingError(
            f"the {role} does not take the loader's batch, {_in_words(inputs_of(batch)[0])}"
            f" ({type(error).__name__}: {error})"
        ) from error


def _single(value: Any) -> Any:
    """Losses are computed in single precision, whatever the networks are."""
    return value.float() if isinstance(value, Tensor) and value.is_floating_point() else value


def _in_words(value: Any) -> str:
    return str(tuple(value.shape)) if isinstance(value, Tensor) else f"a {type(value).__name__}"


def _first_batch(loader: DataLoader[Any], accelerator: Accelerator) -> Any:
    if not isinstance(loader, DataLoader):
        raise TrainingError(f"the loader is a torch.utils.data.DataLoader; got a {type(loader).__name__}")
    with torch.random.fork_rng():
        for batch in loader:
            inputs_of(batch)
            return _on(batch, accelerator.device)
    raise TrainingError("the loader holds no batch; give more data, or a smaller batch")


def _on(batch: Any, device: torch.device) -> Any:
    move: Callable[[Any], Any] = lambda value: value.to(device) if isinstance(value, Tensor) else value  # noqa: E731
    if isinstance(batch, dict):
        return {name: move(value) for name, value in batch.items()}
    return [move(value) for value in batch] if isinstance(batch, list | tuple) else move(batch)


def _check_apart(student: nn.Module, teachers: Mapping[str, nn.Module]) -> None:
    """Refuse a teacher that would change while the student learns."""
    if not isinstance(student, nn.Module):
        raise TrainingError(f"the student is a torch.nn.Module; got a {type(student).__name__}")
    learning = {id(parameter) for parameter in student.parameters() if parameter.requires_grad}
    for name, net in teachers.items():
        if learning & {id(parameter) for parameter in net.parameters()}:
            called = f"the teacher {name!r}" if name else "the teacher"
            raise TrainingError(
                f"{called} shares weights with the student, and would change with it. Give a copy, `copy.deepcopy`; to"
                " train widths of one weight set, use `adaedge.distillation.Sandwich`."
            )
