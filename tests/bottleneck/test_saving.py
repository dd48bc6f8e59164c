"""A bottleneck on disk: the same after loading, refused by name when it is not what was written."""

import numpy as np
import pytest
import safetensors.numpy
import torch
from torch import nn

from adaedge import Bottleneck, Splittable
from adaedge.bottleneck import storage
from adaedge.errors import CodecError, SplitError


@pytest.fixture(scope="module")
def cut():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 6, 3, 2, 1), nn.ReLU(), nn.Flatten(), nn.Linear(6 * 64, 5)).eval()
    return Splittable(net, (torch.rand(1, 3, 16, 16),))


@pytest.fixture(scope="module")
def bottleneck(cut):
    return Bottleneck.fit(cut, (), split="1", images=[torch.rand(1, 3, 16, 16) for _ in range(8)], rates=6)


@pytest.fixture
def path(bottleneck, tmp_path):
    bottleneck.save(tmp_path / "new" / "bottleneck.safetensors")
    return tmp_path / "new" / "bottleneck.safetensors"


def changed(path, arrays=None, **entries):
    """The file with other arrays, or other entries in its document."""
    import json

    with safetensors.safe_open(path, "np") as file:
        document = json.loads(file.metadata()[storage.KEY])
        found = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    safetensors.numpy.save_file(found | (arrays or {}), path, {storage.KEY: json.dumps(document | entries)})
    return path


def test_what_was_saved_is_loaded(bottleneck, cut, path):
    again = Bottleneck.load(path, cut)
    assert (again.split, again.latents.layout) == (bottleneck.split, bottleneck.latents.layout)
    for name, array in bottleneck.latents.arrays().items():
        found = again.latents.arrays()[name]
        assert found.dtype == array.dtype
        assert np.array_equal(found, array)
    features = bottleneck.head(torch.rand(1, 3, 16, 16))
    for rate in bottleneck.rates:
        bottleneck.rate = again.rate = rate
        assert again.compress(*features) == bottleneck.compress(*features)
    assert not path.with_name(path.name + ".partial").exists()


def test_a_plain_network_takes_it(bottleneck, path):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 6, 3, 2, 1), nn.ReLU(), nn.Flatten(), nn.Linear(6 * 64, 5)).eval()
    again = Bottleneck.load(path, net, (torch.rand(1, 3, 16, 16),))
    assert again.latents.fingerprint == bottleneck.latents.fingerprint


def test_other_files_are_refused_by_name(cut, path, tmp_path):
    (tmp_path / "text").write_text("no tensors")
    with pytest.raises(CodecError, match="is no safetensors file"):
        Bottleneck.load(tmp_path / "text", cut)
    safetensors.numpy.save_file({"a": np.zeros(1)}, tmp_path / "other")
    with pytest.raises(CodecError, match=r"holds no bottleneck; write one with `Bottleneck.save`"):
        Bottleneck.load(tmp_path / "other", cut)
    with pytest.raises(CodecError, match="is of version 99"):
        Bottleneck.load(changed(path, version=99), cut)


def test_a_changed_array_is_refused(bottleneck, cut, path):
    mean = bottleneck.latents.mean.copy()
    mean[0] += 1
    with pytest.raises(CodecError, match="was changed: its arrays have the fingerprint"):
        Bottleneck.load(changed(path, {"mean": mean}), cut)


def test_another_network_is_refused(path):
    other = nn.Sequential(nn.Flatten(), nn.Linear(12, 2)).eval()
    with pytest.raises(SplitError, match="no split point"):
        Bottleneck.load(changed(path, split="body.9"), other, (torch.rand(1, 3, 2, 2),))
