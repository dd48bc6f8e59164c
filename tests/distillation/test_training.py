"""The loop: it learns, goes on after a kill as if nothing had been, and refuses what is not its own."""

from __future__ import annotations

import copy
import os
import subprocess
import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file
from torch import nn
from torch.utils.data import DataLoader, Dataset

from adaedge import Elastic
from adaedge.distillation import CrossEntropy, Plan, Sandwich, WarmCosine, train
from adaedge.errors import TrainingError


class Noisy(Dataset):
    """Two classes of images, with noise that is drawn when they are read, as an augmentation is."""

    def __len__(self):
        return 48

    def __getitem__(self, place):
        return torch.full((1, 4, 4), float(place % 2)) + 0.1 * torch.randn(1, 4, 4), place % 2


def net(dropout=0.2):
    torch.manual_seed(0)
    layers = [nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 6, 1), nn.ReLU(), nn.Flatten()]
    return nn.Sequential(*layers, nn.Dropout(dropout), nn.Linear(24, 2))


def loader():
    return DataLoader(Noisy(), batch_size=8, shuffle=True)


def optimizer_of(module, kind):
    if kind == "sgd":
        return torch.optim.SGD(module.parameters(), lr=0.05, momentum=0.9, weight_decay=1e-4)
    return torch.optim.AdamW(module.parameters(), lr=0.01)


class KilledError(Exception):
    pass


class Mortal:
    """An objective that is killed before a step."""

    def __init__(self, objective, dies_at):
        self.objective, self.left = objective, dies_at

    def __call__(self, batch, backward):
        if self.left == 0:
            raise KilledError
        self.left -= 1
        return self.objective(batch, backward)


@pytest.mark.parametrize("kind", ["sgd", "adamw"])
@pytest.mark.parametrize("dies_at", [0, 1, 4, 6, 9, 17])
def test_a_killed_run_goes_on_as_if_it_had_never_stopped(tmp_path, kind, dies_at):
    plan = Plan(3, checkpoint=tmp_path / "run.safetensors", every_s=0.0)
    whole = net()
    wanted = train(whole, loader(), CrossEntropy(whole), optimizer_of(whole, kind), Plan(3))

    killed = net()
    with pytest.raises(KilledError):
        train(killed, loader(), Mortal(CrossEntropy(killed), dies_at), optimizer_of(killed, kind), plan)
    torch.manual_seed(99)  # another process draws from elsewhere
    resumed = net()
    rows = train(resumed, loader(), CrossEntropy(resumed), optimizer_of(resumed, kind), plan)

    for name, tensor in whole.state_dict().items():
        assert torch.equal(tensor, resumed.state_dict()[name]), name
    assert rows == wanted[dies_at // 6 :]


def test_a_killed_sandwich_goes_on_with_every_level_s_statistics(tmp_path):
    def elastic():
        return Elastic(net(), (torch.zeros(2, 1, 4, 4),), widths=(1.0, 0.75, 0.5, 0.25))

    plan = Plan(2, checkpoint=tmp_path / "run.safetensors", every_s=0.0)
    whole, killed, resumed = elastic(), elastic(), elastic()
    train(whole, loader(), Sandwich(whole, others=1), optimizer_of(whole, "sgd"), Plan(2))
    with pytest.raises(KilledError):
        train(killed, loader(), Mortal(Sandwich(killed, others=1), 8), optimizer_of(killed, "sgd"), plan)
    train(resumed, loader(), Sandwich(resumed, others=1), optimizer_of(resumed, "sgd"), plan)
    images = torch.rand(5, 1, 4, 4)
    for width in whole.widths:
        assert torch.equal(whole.level(width)(images), resumed.level(width)(images))


def test_a_finished_run_has_nothing_left_to_do(tmp_path):
    module, plan = net(), Plan(1, checkpoint=tmp_path / "deep" / "run.safetensors")
    assert len(train(module, loader(), CrossEntropy(module), optimizer_of(module, "sgd"), plan)) == 1
    before = copy.deepcopy(module.state_dict())
    assert train(module, loader(), CrossEntropy(module), optimizer_of(module, "sgd"), plan) == []
    assert all(torch.equal(before[name], tensor) for name, tensor in module.state_dict().items())
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["run.safetensors"]


def test_it_learns_and_leaves_the_callers_random_numbers_alone():
    module = net(dropout=0.0)
    state = torch.get_rng_state()
    rows = train(module, loader(), CrossEntropy(module), optimizer_of(module, "adamw"), Plan(8))
    assert torch.equal(state, torch.get_rng_state())
    assert not module.training
    assert rows[-1]["loss"] < 0.1 < rows[0]["loss"]


def test_the_learning_rate_follows_the_schedule():
    rates, module = [], net()
    optimizer = torch.optim.SGD(module.parameters(), lr=0.5)
    objective = CrossEntropy(module)

    def watching(batch, backward):
        rates.append(optimizer.param_groups[0]["lr"])
        return objective(batch, backward)

    train(module, loader(), watching, optimizer, Plan(2, WarmCosine(0.25)))
    assert rates == pytest.approx([0.5 * WarmCosine(0.25)(step / 12) for step in range(12)])
    assert rates[0] == 0.0
    assert max(rates) == rates[3] == 0.5


@settings(max_examples=50, deadline=None)
@given(st.floats(0, 0.9), st.floats(0, 1))
def test_a_schedule_stays_between_nothing_and_all(warm_up, progress):
    assert 0 <= WarmCosine(warm_up)(progress) <= 1


def test_a_checkpoint_of_another_training_is_refused(tmp_path):
    plan = Plan(1, checkpoint=tmp_path / "run.safetensors")
    module = net()
    train(module, loader(), CrossEntropy(module), optimizer_of(module, "sgd"), plan)
    other = nn.Sequential(nn.Flatten(), nn.Linear(16, 2))
    with pytest.raises(TrainingError, match=r"(?s)run\.safetensors is a checkpoint of another training .*another file"):
        train(other, loader(), CrossEntropy(other), optimizer_of(other, "sgd"), plan)


@pytest.mark.parametrize(
    ("content", "text"),
    [(b"{}", "no safetensors file"), (b"\x02\0\0\0\0\0\0\0{}", "a checkpoint of version None, this is version 1")],
)
def test_a_file_that_is_no_checkpoint_is_refused(tmp_path, content, text):
    path = tmp_path / "run.safetensors"
    path.write_bytes(content)
    module = net()
    with pytest.raises(TrainingError, match=f"{text}.*delete it to start anew"):
        train(module, loader(), CrossEntropy(module), optimizer_of(module, "sgd"), Plan(1, checkpoint=path))


def test_a_loss_that_explodes_stops_the_run_and_is_not_saved(tmp_path):
    path, module = tmp_path / "run.safetensors", net()
    optimizer = torch.optim.SGD(module.parameters(), lr=1e30)
    with pytest.raises(TrainingError, match=r"the loss of loss became (nan|inf); lower the learning rate"):
        train(module, loader(), CrossEntropy(module), optimizer, Plan(1, lambda _: 1.0, checkpoint=path))
    assert not path.exists()


def test_what_cannot_be_is_refused():
    with pytest.raises(TrainingError, match="one epoch or more; got 0"):
        Plan(0)
    with pytest.raises(TrainingError, match=r"warm_up is a fraction of the training, in \[0, 1\); got 1"):
        WarmCosine(1.0)
    module = net()
    few = DataLoader(Noisy(), batch_size=100, drop_last=True)
    with pytest.raises(TrainingError, match="the loader holds no batch; give more data"):
        train(module, few, CrossEntropy(module), optimizer_of(module, "sgd"), Plan(1))


@pytest.mark.slow
def test_two_processes_learn_what_one_would(tmp_path):
    """Each takes half of every batch; they begin apart, and end with the weights of one process."""
    program = tmp_path / "program.py"
    program.write_text(
        """
import sys, torch
from accelerate import Accelerator
from safetensors.torch import save_file
from safetensors.torch import load_file
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from adaedge import Elastic
from adaedge.distillation import Plan, Sandwich, train

torch.manual_seed(0)
net = nn.Sequential(nn.Flatten(), nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 4))
elastic = Elastic(net, (torch.zeros(1, 16),), widths=(1.0, 0.5))
data = TensorDataset(torch.randn(64, 16), torch.randint(4, (64,)))
accelerator = Accelerator(cpu=True)
for parameter in elastic.parameters():
    parameter.data += accelerator.process_index
optimizer = torch.optim.SGD(elastic.parameters(), lr=0.1)
loader = DataLoader(data, 16 // accelerator.num_processes)
train(elastic, loader, Sandwich(elastic), optimizer, Plan(2), accelerator=accelerator)
save_file(elastic.state_dict(), f"{sys.argv[1]}-{accelerator.num_processes}-{accelerator.process_index}.safetensors")
""",
        encoding="utf-8",
    )
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node"]
    for processes in ("1", "2"):
        environment = {**os.environ, "ACCELERATE_USE_CPU": "true"}
        subprocess.run([*launch, processes, str(program), str(tmp_path / "end")], check=True, env=environment)
    one = load_file(tmp_path / "end-1-0.safetensors")
    for process in (0, 1):
        for name, tensor in load_file(tmp_path / f"end-2-{process}.safetensors").items():
            torch.testing.assert_close(tensor, one[name])
