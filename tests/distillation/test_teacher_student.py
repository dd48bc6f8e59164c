"""`distill`: a student learns what was asked, goes on after a kill bit for bit, and what cannot be is refused."""

from __future__ import annotations

import copy
import functools
import json
import os
import subprocess
import sys

import pytest
import safetensors
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState, GradientState
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

import adaedge
from adaedge.distillation import (
    AttentionTransfer,
    DecoupledTargets,
    FeatureMSE,
    Plan,
    Relational,
    SoftTargetMaps,
    SoftTargets,
    Weighted,
    distill,
    teacher_student,
)
from adaedge.errors import TrainingError

OUTPUTS = {(None, None): SoftTargets(4.0)}


@pytest.fixture
def fresh_state():
    """Accelerate keeps one state for the process, whatever each accelerator was asked for."""
    AcceleratorState._reset_state(True)
    GradientState._reset_state()
    yield
    AcceleratorState._reset_state(True)
    GradientState._reset_state()


def net(channels, seed, classes=4, dropout=0.0):
    torch.manual_seed(seed)
    layers = [nn.Conv2d(3, channels, 3, padding=1), nn.BatchNorm2d(channels), nn.ReLU(inplace=True)]
    layers += [nn.Conv2d(channels, 2 * channels, 3, stride=2), nn.ReLU(inplace=True)]
    return nn.Sequential(
        *layers, nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Dropout(dropout), nn.Linear(8 * channels, classes)
    )


def teacher(seed=1):
    return net(8, seed).eval()


def student(dropout=0.0):
    return net(3, 0, dropout=dropout)


def images(count=24):
    return torch.rand(count, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def loader(count=24, labels=False, shuffle=True):
    data = images(count)
    return DataLoader(TensorDataset(data, torch.arange(count) % 4) if labels else data, 8, shuffle=shuffle)


def same(one, other):
    return all(torch.equal(tensor, other.state_dict()[name]) for name, tensor in one.state_dict().items())


def test_a_student_comes_to_answer_as_its_teacher_which_stays_as_it_was():
    wise, young = teacher(), student()
    before, hooks = copy.deepcopy(wise.state_dict()), len(wise[0]._forward_hooks)
    losses = {(None, None): SoftTargets(4.0), ("3", "3"): FeatureMSE()}
    adam = functools.partial(torch.optim.Adam, lr=0.01)
    rows = adaedge.distill(young, wise, loader(), losses=losses, epochs=40, optimizer=adam)
    assert rows[-1]["outputs"] < rows[0]["outputs"] / 5
    assert rows[-1]["3 from 3"] < rows[0]["3 from 3"] / 3
    assert rows[0]["loss"] == pytest.approx(rows[0]["outputs"] + rows[0]["3 from 3"])
    assert all(torch.equal(before[name], tensor) for name, tensor in wise.state_dict().items())
    assert len(wise[0]._forward_hooks) == hooks == len(young[0]._forward_hooks)
    assert not young.training
    assert all(parameter.grad is None for parameter in wise.parameters())
    with torch.no_grad():
        apart = functional.kl_div(young(images()).log_softmax(1), wise(images()).softmax(1), reduction="batchmean")
    assert apart < 0.01


def test_every_layer_is_seen_before_what_follows_writes_into_it():
    """The activation behind the batch-norm works in place."""
    wise, young, seen = teacher(), student(), []

    def loss(found, wanted):
        seen.append((found.detach().clone(), wanted.clone()))
        return functional.mse_loss(found.mean(1), wanted.mean(1))

    distill(young, wise, loader(), losses={("1", "1"): loss}, epochs=1)
    for found, wanted in seen:
        assert (found < 0).any()
        assert (wanted < 0).any()


def test_loss_is_short_for_one_of_the_outputs():
    one, other = student(), student()
    short = distill(one, teacher(), loader(), loss=SoftTargets(4.0), epochs=2)
    assert short == distill(other, teacher(), loader(), losses=OUTPUTS, epochs=2)
    assert same(one, other)


@pytest.mark.parametrize("accumulate", [1, 2])
@pytest.mark.parametrize("dies_at", [2, 4, 7])
def test_a_killed_run_goes_on_bit_for_bit(tmp_path, monkeypatch, fresh_state, accumulate, dies_at):
    """With projectors, an average, accumulation, dropout and teachers' answers on disk."""

    def run(young, folder, checkpoint=None):
        accelerator = Accelerator(cpu=True, gradient_accumulation_steps=accumulate)
        losses = {(None, None): SoftTargets(4.0), ("3", "3"): FeatureMSE()}
        plan = Plan(3, checkpoint=checkpoint, every_s=0.0)
        return distill(
            young, teacher(), loader(), losses=losses, plan=plan, ema=0.9, cache=folder, accelerator=accelerator
        )

    whole = student(dropout=0.3)
    wanted = run(whole, tmp_path / "one")

    class KilledError(Exception):
        pass

    teach, left = teacher_student._Lesson.teach, [dies_at]

    def mortal(*args):
        left[0] -= 1
        if left[0] < 0:
            raise KilledError
        return teach(*args)

    monkeypatch.setattr(teacher_student._Lesson, "teach", mortal)
    with pytest.raises(KilledError):
        run(student(dropout=0.3), tmp_path / "two", tmp_path / "run.safetensors")
    monkeypatch.undo()
    torch.manual_seed(99)
    resumed = student(dropout=0.3)
    rows = run(resumed, tmp_path / "two", tmp_path / "run.safetensors")
    assert same(whole, resumed)
    assert rows == wanted[dies_at // 3 :]
    again = student(dropout=0.3)
    assert run(again, tmp_path / "two", tmp_path / "run.safetensors") == []
    assert same(whole, again)  # the average, though nothing was left to do


def test_a_loader_s_own_generator_begins_each_epoch_anew():
    """It may stand anywhere after a kill."""
    found = []
    for seed in (1, 2):
        own = torch.Generator().manual_seed(seed)
        young = student()
        distill(young, teacher(), DataLoader(images(), 8, shuffle=True, generator=own), losses=OUTPUTS, epochs=2)
        found.append(young)
    assert same(*found)


def test_accumulated_batches_make_the_step_of_a_large_one(fresh_state):
    one, other = nn.Linear(4, 3), nn.Linear(4, 3)
    other.load_state_dict(one.state_dict())
    wise, data = nn.Linear(4, 3).eval(), torch.rand(24, 4)

    def run(young, batch, accumulate):
        accelerator = Accelerator(cpu=True, gradient_accumulation_steps=accumulate)
        make = lambda parameters: torch.optim.SGD(parameters, lr=0.5)  # noqa: E731
        distill(young, wise, DataLoader(data, batch), losses=OUTPUTS, epochs=2, optimizer=make, accelerator=accelerator)

    run(one, 12, 1)
    run(other, 6, 2)
    torch.testing.assert_close(one.weight, other.weight)


def test_bfloat16_is_the_accelerators(fresh_state):
    young, kinds = student(), set()
    young[3].register_forward_hook(lambda _module, _taken, returned: kinds.add((young.training, returned.dtype)))
    distill(
        young, teacher(), loader(), losses=OUTPUTS, epochs=1, accelerator=Accelerator(cpu=True, mixed_precision="bf16")
    )
    assert (True, torch.bfloat16) in kinds
    assert young[3].weight.dtype == torch.float32


def test_teachers_are_asked_once_for_each_image(tmp_path):
    asked, wise = [], teacher()
    wise.register_forward_hook(lambda _module, taken, _returned: asked.append(len(taken[0])))
    losses = {(None, None): SoftTargets(4.0), ("3", "3"): FeatureMSE()}
    kept, plain = student(), student()
    distill(kept, wise, loader(), losses=losses, epochs=3, cache=tmp_path)
    assert sum(asked) == 24 + 8  # each once, and the first batch to see the shapes
    distill(plain, wise, loader(), losses=losses, epochs=3)
    for name, tensor in plain.state_dict().items():
        torch.testing.assert_close(tensor, kept.state_dict()[name], rtol=1e-4, atol=1e-5)
    asked.clear()
    distill(student(), wise, loader(), losses=losses, epochs=2, cache=tmp_path)
    assert sum(asked) == 8
    (folder,) = tmp_path.iterdir()
    files = sorted(folder.iterdir())
    assert len(files) == 3
    with safetensors.safe_open(files[0], "pt") as file:
        assert len(json.loads(file.metadata()["images"])) == 8
        assert file.get_tensor("0").shape == (8, 4)
        assert file.get_tensor("1").shape == (8, 16, 3, 3)
    distill(student(), teacher(seed=5), loader(), losses=losses, epochs=1, cache=tmp_path)
    assert len([*tmp_path.iterdir()]) == 2  # another teacher's answers are kept apart


def test_a_cache_keeps_rows_apart_from_each_other(tmp_path):
    wise = teacher()
    cache = teacher_student.TeacherCache(tmp_path, {"": wise}, [("", None)])
    data = images()
    with torch.no_grad():
        for part in data.split(8):
            cache.keep([part], [wise(part)])
        order = torch.tensor([23, 0, 7, 8, 0, 15])
        torch.testing.assert_close(cache.read([data[order]])[0], wise(data[order]))
    assert cache.missing([data[:2] + 1])
    assert not cache.missing([data])


def test_a_cache_of_images_that_are_new_each_time_stops_growing(tmp_path):
    class Noise(torch.utils.data.Dataset):
        def __len__(self):
            return 8

        def __getitem__(self, place):
            return torch.rand(3, 8, 8)

    with pytest.warns(UserWarning, match="16 images came, twice as many as the loader has"):
        distill(student(), teacher(), DataLoader(Noise(), 8), losses=OUTPUTS, epochs=5, cache=tmp_path)
    (folder,) = tmp_path.iterdir()
    assert len([*folder.iterdir()]) == 2


def test_a_damaged_cache_is_told(tmp_path):
    distill(student(), teacher(), loader(), losses=OUTPUTS, epochs=1, cache=tmp_path)
    next(next(tmp_path.iterdir()).iterdir()).write_bytes(b"{}")
    with pytest.raises(TrainingError, match=r"holds no teacher's answers.*delete it"):
        distill(student(), teacher(), loader(), losses=OUTPUTS, epochs=1, cache=tmp_path)


def test_several_teachers_each_have_their_share():
    both = {"a": teacher(1), "b": teacher(2)}
    young = student()
    losses = {(None, None): Weighted(SoftTargets(4.0), 0.5), ("3", ("b", "3")): Weighted(FeatureMSE(), 0.1)}
    rows = distill(young, both, loader(), losses=losses, epochs=1)
    row = rows[0]
    assert set(row) == {"outputs of a", "outputs of b", "3 from b.3", "loss"}
    assert row["loss"] == pytest.approx(
        0.25 * row["outputs of a"] + 0.25 * row["outputs of b"] + 0.1 * row["3 from b.3"], rel=1e-5
    )


def test_labels_count_where_they_are_asked_for():
    data = loader(labels=True)
    young = student()
    rows = distill(young, teacher(), data, losses={(None, None): DecoupledTargets()}, label_weight=2.0, epochs=1)
    assert rows[0]["loss"] == pytest.approx(rows[0]["outputs"] + 2 * rows[0]["labels"], rel=1e-5)
    with pytest.raises(TrainingError, match=r"let the loader give \(images, labels\)"):
        distill(student(), teacher(), loader(), losses=OUTPUTS, label_weight=1.0, epochs=1)


def test_a_dictionary_is_a_batch_and_one_tensor_in_a_structure_is_that_tensor():
    class Named(nn.Module):
        def __init__(self, inner):
            super().__init__()
            self.inner = inner

        def forward(self, image):
            return {"logits": self.inner(image)}

    data = DataLoader([{"image": image, "labels": place % 4} for place, image in enumerate(images())], 8)
    rows = distill(Named(student()), Named(teacher()).eval(), data, losses=OUTPUTS, label_weight=1.0, epochs=1)
    assert rows[0]["labels"] > 0


def test_the_average_of_the_weights_is_what_the_student_has_in_the_end():
    young, seen = nn.Linear(4, 3), []
    wise, data = nn.Linear(4, 3).eval(), DataLoader(torch.rand(32, 4), 4)

    class Watching(torch.optim.SGD):
        def step(self, closure=None):
            super().step(closure)
            seen.append(young.weight.detach().clone())

    first = young.weight.detach().clone()
    distill(
        young, wise, data, losses=OUTPUTS, epochs=2, ema=0.5, optimizer=lambda parameters: Watching(parameters, lr=0.5)
    )
    average = first
    for steps, weight in enumerate(seen, 1):
        decay = min(0.5, (1 + steps) / (10 + steps))
        average = decay * average + (1 - decay) * weight
    torch.testing.assert_close(young.weight.detach(), average)
    assert not torch.equal(young.weight, seen[-1])
    with pytest.raises(TrainingError, match=r"decay of a weight average is in \[0, 1\); got 1"):
        distill(young, wise, data, losses=OUTPUTS, epochs=1, ema=1.0)


REFUSED = [
    ({("nope", None): FeatureMSE()}, r"the student has no layer 'nope'; nearest: .*list all with `named_modules"),
    ({("3", "layer9"): FeatureMSE()}, r"the teacher has no layer 'layer9'; nearest: "),
    ({("3", None): FeatureMSE()}, None),
    (
        {(None, "3"): FeatureMSE()},
        r"output from 3: no projector joins the student's \(8, 4\) and the teacher's \(8, 16",
    ),
    ({("3", None): SoftTargets(4.0)}, r"3 from output: the student's tensor is \(8, 6, 3, 3\), the teacher's \(8, 4\)"),
    ({(None, None): AttentionTransfer()}, r"attention transfer takes maps \(N, C, …\); the student's is \(8, 4\)"),
    ({(None, None): SoftTargetMaps()}, r"take maps \(N, classes, …\) of the same classes"),
    ({(None, None): lambda a, b: a @ b}, r"outputs: function does not take what they return, the student \(8, 4\)"),
    ({(None, None): 3}, r"the loss of \(None, None\) is a callable of two tensors; got 3"),
    ({"3": FeatureMSE()}, r"a key of losses is \(student's layer, teacher's layer\); got '3'"),
    ({("3", ("b", "3")): FeatureMSE()}, r"\('b', '3'\) is no \(teacher, layer\); the teachers are ''"),
    ({}, "losses maps pairs of layers to losses"),
]


@pytest.mark.parametrize(("losses", "text"), REFUSED)
def test_losses_that_cannot_be_are_refused_before_any_step(losses, text):
    young = student()
    before = copy.deepcopy(young)
    if text is None:  # a map's mean is a vector
        distill(young, teacher(), loader(), losses=losses, epochs=1)
        return
    with pytest.raises(TrainingError, match=text):
        distill(young, teacher(), loader(), losses=losses, epochs=1)
    assert same(young, before)
    assert young.training


def test_what_else_cannot_be_is_refused():
    with pytest.raises(TrainingError, match=r"the teacher is in training mode.*Call `teacher\.eval\(\)` first"):
        distill(student(), teacher().train(), loader(), losses=OUTPUTS, epochs=1)
    with pytest.raises(TrainingError, match="the teacher 'b' is in training mode"):
        distill(student(), {"a": teacher(), "b": teacher().train()}, loader(), losses=OUTPUTS, epochs=1)
    with pytest.raises(TrainingError, match="of several teachers, a layer is named with its own"):
        distill(student(), {"a": teacher(), "b": teacher()}, loader(), losses={("3", "3"): FeatureMSE()}, epochs=1)
    with pytest.raises(TrainingError, match="there is no teacher"):
        distill(student(), {}, loader(), losses=OUTPUTS, epochs=1)
    with pytest.raises(TrainingError, match=r"give `losses`, .*, or `loss`, one of the outputs; not both"):
        distill(student(), teacher(), loader(), losses=OUTPUTS, loss=SoftTargets(), epochs=1)
    with pytest.raises(TrainingError, match=r"give `epochs`, or a `plan`"):
        distill(student(), teacher(), loader(), losses=OUTPUTS)
    with pytest.raises(TrainingError, match=r"the loader is a torch\.utils\.data\.DataLoader; got a list"):
        distill(student(), teacher(), [images()], losses=OUTPUTS, epochs=1)
    with pytest.raises(TrainingError, match=r"the loader gives no images: .* got a list of tuple, Tensor"):
        distill(student(), teacher(), DataLoader([("a", 1)] * 8, 8), losses=OUTPUTS, epochs=1)
    with pytest.raises(TrainingError, match="the loader holds no batch"):
        distill(student(), teacher(), DataLoader(images(3), 8, drop_last=True), losses=OUTPUTS, epochs=1)
    with pytest.raises(TrainingError, match=r"the student does not take the loader's batch, \(8, 1, 8, 8\)"):
        distill(student(), teacher(), DataLoader(torch.rand(8, 1, 8, 8), 8), losses=OUTPUTS, epochs=1)
    shared = teacher()
    with pytest.raises(TrainingError, match="the teacher shares weights with the student"):
        distill(shared, shared, loader(), losses=OUTPUTS, epochs=1)
    unused = student()
    unused.add_module("aside", nn.Identity())
    unused.forward = lambda image: nn.Sequential(*list(unused)[:-1])(image)
    with pytest.raises(TrainingError, match="the layer 'aside' did not run"):
        distill(unused, teacher(), loader(), losses={("aside", "3"): FeatureMSE()}, epochs=1)


def test_a_loss_that_is_no_number_leaves_the_last_checkpoint_and_the_weights_before_it(tmp_path):
    path, calls = tmp_path / "run.safetensors", []

    def loss(found, wanted):
        calls.append(1)
        return functional.mse_loss(found, wanted) * (float("nan") if len(calls) > 6 else 1.0)

    young = student()
    plan = Plan(9, checkpoint=path, every_s=0.0)
    with pytest.raises(
        TrainingError, match=r"the loss of outputs became nan; .*run\.safetensors is the last checkpoint"
    ):
        distill(young, teacher(), loader(), losses={(None, None): loss}, plan=plan)
    assert all(tensor.isfinite().all() for tensor in young.state_dict().values())
    with safetensors.safe_open(path, "pt") as file:
        assert json.loads(file.metadata()["training"])["step"] == 2
        assert torch.equal(file.get_tensor("module/student.3.weight"), young[3].weight)


def test_a_full_disk_leaves_the_last_checkpoint(tmp_path, monkeypatch):
    path = tmp_path / "run.safetensors"
    plan = Plan(2, checkpoint=path, every_s=0.0)
    from adaedge.distillation import checkpoint

    save, writes = checkpoint.save_file, []

    def full(tensors, to, metadata):
        writes.append(1)
        if len(writes) > 2:
            to.write_bytes(b"half")
            raise OSError(28, "No space left on device")
        save(tensors, to, metadata)

    monkeypatch.setattr(checkpoint, "save_file", full)
    with pytest.raises(TrainingError, match=r"could not be written .*No space left.*; what it held before stands"):
        distill(student(), teacher(), loader(), losses=OUTPUTS, plan=plan)
    assert [each.name for each in tmp_path.iterdir()] == ["run.safetensors"]
    monkeypatch.undo()
    whole, resumed = student(), student()
    distill(whole, teacher(), loader(), losses=OUTPUTS, epochs=2)
    distill(resumed, teacher(), loader(), losses=OUTPUTS, plan=plan)
    assert same(whole, resumed)


PROGRAM = """
import os, sys, torch
from accelerate import Accelerator
from safetensors.torch import save_file
from torch import nn
from torch.utils.data import DataLoader
from pathlib import Path
from adaedge.distillation import FeatureMSE, Plan, SoftTargets, distill, teacher_student

def net(channels, seed):
    torch.manual_seed(seed)
    layers = [nn.Conv2d(3, channels, 3), nn.BatchNorm2d(channels), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten()]
    return nn.Sequential(*layers, nn.Dropout(0.2), nn.Linear(4 * channels, 5))

class Mortal:
    left = int(sys.argv[2])
    def __init__(self, teach): self.teach = teach
    def __call__(self, *args):
        if not Mortal.left: os.kill(os.getpid(), 9)
        Mortal.left -= 1
        return self.teach(*args)

images = torch.rand(64, 3, 8, 8, generator=torch.Generator().manual_seed(0))
teach = Mortal(teacher_student._Lesson.teach)
teacher_student._Lesson.teach = lambda *args: teach(*args)
accelerator = Accelerator(cpu=True)
student = net(4, accelerator.process_index)
folder = Path(sys.argv[1])
losses = {(None, None): SoftTargets(4.0), ("0", "0"): FeatureMSE()}
plan = Plan(2, checkpoint=folder / "run.safetensors", every_s=0.0)
distill(student, net(8, 7).eval(), DataLoader(images, 8, shuffle=True), losses=losses, plan=plan, ema=0.9,
        cache=folder / "answers", accelerator=accelerator)
save_file(student.state_dict(), folder / f"end-{accelerator.process_index}.safetensors")
"""


@pytest.mark.slow
def test_two_processes_that_are_killed_go_on_bit_for_bit(tmp_path):
    from safetensors.torch import load_file

    program = tmp_path / "program.py"
    program.write_text(PROGRAM, encoding="utf-8")
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", str(program)]

    def run(name, dies_at):
        (tmp_path / name).mkdir(exist_ok=True)
        environment = {**os.environ, "ACCELERATE_USE_CPU": "true"}
        command = [*launch, str(tmp_path / name), str(dies_at)]
        return subprocess.run(command, check=False, env=environment, capture_output=True).returncode

    assert run("whole", -1) == 0
    assert run("killed", 5) != 0
    assert run("killed", -1) == 0
    ends = [load_file(tmp_path / name / f"end-{rank}.safetensors") for name in ("whole", "killed") for rank in (0, 1)]
    for end in ends[1:]:
        assert all(torch.equal(tensor, ends[0][name]) for name, tensor in end.items())


def test_all_losses_can_be_mixed_on_one_pair():
    losses = {("3", "3"): [AttentionTransfer(), Weighted(Relational(), 0.1), FeatureMSE()]}
    row = distill(student(), teacher(), loader(), losses=losses, epochs=1)[0]
    assert set(row) == {"3 from 3, AttentionTransfer", "3 from 3, Relational", "3 from 3, FeatureMSE", "loss"}
