"""The one training loop: on accelerate, resumable, with a progress bar and a log.

May import: ``errors``; of this part ``checkpoint``, ``event_log``, ``objectives``, ``processes`` and ``schedules``.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.optimizer import AcceleratedOptimizer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import nn
from torch.optim import Optimizer
from torch.utils.data import DataLoader

from adaedge.distillation import checkpoint
from adaedge.distillation.checkpoint import TrainingState
from adaedge.distillation.event_log import EventLog
from adaedge.distillation.objectives import Objective
from adaedge.distillation.processes import alike, mean_gradients, same_statistics
from adaedge.distillation.schedules import Schedule, WarmCosine
from adaedge.errors import TrainingError

Row = dict[str, float]
STRIDE = 1_000_003  # between the seeds of two steps: more epochs than anyone trains
LOGGED = 50  # steps between two points of the log; each reads the losses, for which a GPU is waited for


@dataclass(frozen=True, slots=True)
class Plan:
    """How long to train, how fast, and where to go on after a kill.

    Attributes:
        epochs: passes over the data.
        schedule: of the learning rate; multiplies what the optimiser was made with.
        seed: of every draw: the data of epoch e come from ``seed`` + e, whatever the objective draws.
        checkpoint: a safetensors file, written every ``every_s`` seconds and after each epoch. A run that finds it goes
            on from there, step for step as if it had never stopped; data of the epoch is drawn again up to the place.
        every_s: time between two checkpoints.
        log: a folder for a log of all losses and of the learning rate, which TensorBoard reads:
            ``tensorboard --logdir FOLDER``. A resumed run adds a file to it.

    Raises:
        TrainingError: if there is less than one epoch.
    """

    epochs: int
    schedule: Schedule = field(default_factory=WarmCosine)
    seed: int = 0
    checkpoint: Path | None = None
    every_s: float = 300.0
    log: Path | None = None

    def __post_init__(self) -> None:
        if self.epochs < 1:
            raise TrainingError(f"a training takes one epoch or more; got {self.epochs}")


def train(
    module: nn.Module,
    loader: DataLoader[Any],
    objective: Objective,
    optimizer: Optimizer,
    plan: Plan,
    *,
    accelerator: Accelerator | None = None,
    stepped: Callable[[], None] | None = None,
) -> list[Row]:
    """Train a module in place.

    With several processes (``accelerate launch``), each takes its share of the batches; gradients are averaged once a
    step, after all backward passes. Draws are made with PyTorch's global generator, which is put back.

    An accelerator with ``gradient_accumulation_steps=n`` makes one step of n batches; what an epoch's end leaves over
    makes one too. Mixed precision is the accelerator's.

    Args:
        module: what is trained, left in evaluation mode; an `adaedge.Elastic` or any other.
        loader: the data.
        objective: what a batch teaches.
        optimizer: of the module's parameters.
        plan: epochs, schedule, seed, checkpoint.
        accelerator: device and precision; without one, the best device, in bfloat16 where it is a GPU.
        stepped: called after each step of the optimiser; what it changes must be part of ``module``.

    Returns:
        One row an epoch that this run finished: the mean of each of the objective's losses.

    Raises:
        TrainingError: if the loader is none or empty, a loss is not finite, the checkpoint is of another training, or
            cannot be written; the last one that was written stands.

    Example:
        >>> from adaedge.distillation.objectives import CrossEntropy
        >>> data = [(torch.tensor([float(label)]), label) for label in (0, 1)] * 8
        >>> net = nn.Linear(1, 2)
        >>> optimizer = torch.optim.SGD(net.parameters(), lr=1.0)
        >>> batches = DataLoader(data, batch_size=4, shuffle=True)
        >>> rows = train(net, batches, CrossEntropy(net), optimizer, Plan(epochs=20))
        >>> rows[-1]["loss"] < rows[0]["loss"], net(torch.tensor([[0.0], [1.0]])).argmax(1)
        (True, tensor([0, 1]))
    """
    if not isinstance(loader, DataLoader):
        raise TrainingError(f"the loader is a torch.utils.data.DataLoader; got a {type(loader).__name__}")
    accelerator = accelerator or default_accelerator()
    module.to(accelerator.device)
    alike(module, accelerator)
    with torch.random.fork_rng(), EventLog.opened(plan.log if accelerator.is_main_process else None) as log:
        return _Run(module, loader, objective, optimizer, plan, accelerator, log, stepped or _nothing).epochs()


def default_accelerator() -> Accelerator:
    """The best device, in bfloat16 where it is a GPU."""
    return Accelerator(mixed_precision="bf16" if torch.cuda.is_available() else "no")


def _nothing() -> None:
    pass


class _Run:
    """One call of `train`, between its steps."""

    def __init__(
        self,
        module: nn.Module,
        loader: DataLoader[Any],
        objective: Objective,
        optimizer: Optimizer,
        plan: Plan,
        accelerator: Accelerator,
        log: EventLog,
        stepped: Callable[[], None],
    ) -> None:
        self.module, self.objective, self.plan, self.accelerator = module, objective, plan, accelerator
        self.log, self.stepped = log, stepped
        self.rates = [group["lr"] for group in optimizer.param_groups]
        self.plain, self.optimizer = optimizer, AcceleratedOptimizer(optimizer, scaler=accelerator.scaler)
        self.loader = accelerator.prepare_data_loader(loader)
        # Of a loader with a generator of its own, and of several processes, the order would be another after a kill.
        named = (getattr(self.loader, name, None) for name in ("generator", "synchronized_generator"))
        self.generators = [generator for generator in named if generator is not None]
        self.steps = len(self.loader)
        if self.steps == 0:
            raise TrainingError("the loader holds no batch; give more data, or a smaller batch")
        self.saved_s = time.monotonic()

    def epochs(self) -> list[Row]:
        """All epochs that are left."""
        place = TrainingState()
        if self.plan.checkpoint and self.plan.checkpoint.exists():
            place = checkpoint.restore(self.plan.checkpoint, self.module, self.plain, self.accelerator.scaler)
        rows = []
        with _bar(self.accelerator.is_main_process) as bar:
            while place.epoch < self.plan.epochs:
                task = bar.add_task(f"epoch {place.epoch + 1} of {self.plan.epochs}", total=self.steps)
                sums = self._epoch(place, partial(bar.update, task))
                rows.append({name: value / self.steps for name, value in sums.items()})
                bar.console.print(f"epoch {place.epoch + 1}:", *(f"{k} {v:.4f}" for k, v in rows[-1].items()))
                place = TrainingState(place.epoch + 1)
                self.log.write(place.epoch * self.steps, {f"epoch/{name}": value for name, value in rows[-1].items()})
                self._save(place)
        self.module.eval()
        return rows

    def _epoch(self, place: TrainingState, show: Callable[..., None]) -> Row:
        """Data and objective draw from two streams of random numbers, so that a resumed epoch draws its data again."""
        self.module.train()
        sums: dict[str, Any] = dict(place.sums)
        seed = self.plan.seed + place.epoch
        torch.manual_seed(seed)
        for generator in self.generators:
            generator.manual_seed(seed)
        for step, batch in enumerate(self.loader):
            if step < place.step:
                continue
            data_stream = torch.get_rng_state()
            torch.manual_seed(seed + (step + 1) * STRIDE)
            losses = self._step(batch, place.epoch, step)
            for name, loss in losses.items():
                sums[name] = sums.get(name, 0.0) + loss
            torch.set_rng_state(data_stream)
            show(completed=step + 1)
            if (at := place.epoch * self.steps + step) % LOGGED == 0 and self.plan.log:
                self.log.write(at, self._finite(losses) | {"learning rate": self.plain.param_groups[0]["lr"]})
            if time.monotonic() - self.saved_s > self.plan.every_s and self._is_whole(step):
                self._save(TrainingState(place.epoch, step + 1, tuple(self._finite(sums).items())))
        return self._finite(sums)

    def _is_whole(self, step: int) -> bool:
        """Whether the optimiser steps after this batch: after each, or after as many as are accumulated."""
        return (step + 1) % self.accelerator.gradient_accumulation_steps == 0 or step + 1 == self.steps

    def _step(self, batch: Any, epoch: int, step: int) -> dict[str, torch.Tensor]:
        if step == 0 or self._is_whole(step - 1):
            for group, rate in zip(self.plain.param_groups, self.rates, strict=True):
                group["lr"] = rate * self.plan.schedule((epoch + step / self.steps) / self.plan.epochs)
            self.module.zero_grad()
        with self.accelerator.autocast():
            losses = self.objective(batch, self.accelerator.backward)
        if self.accelerator.device.type == "cpu":  # where reading costs nothing, no step is made of what is not finite
            self._finite(losses)
        if self._is_whole(step):
            mean_gradients(self.module, self.accelerator)
            self.optimizer.step()
            same_statistics(self.module, self.accelerator)
            self.stepped()
        return losses

    def _save(self, place: TrainingState) -> None:
        if self.plan.checkpoint and self.accelerator.is_main_process:
            scaled = () if self.accelerator.scaler is None else (self.accelerator.scaler,)  # of half precision only
            checkpoint.save(self.plan.checkpoint, self.module, self.plain, place, *scaled)
        self.saved_s = time.monotonic()

    def _finite(self, sums: dict[str, Any]) -> Row:
        """The sums as numbers. Read rarely: on a GPU, reading waits for it."""
        numbers = {name: float(value) for name, value in sums.items()}
        for name, value in numbers.items():
            if not math.isfinite(value):
                path = self.plan.checkpoint
                stands = f"; {path} is the last checkpoint before that" if path and path.exists() else ""
                raise TrainingError(
                    f"the loss of {name} became {value}; lower the learning rate, or warm up longer{stands}"
                )
        return numbers


def _bar(shown: bool) -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, disable=not shown, console=Console(stderr=True))
