"""Every recipe runs with ``--smoke``, says how it is used, and stays short."""

from __future__ import annotations

import importlib
import json
import re
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from adaedge import Elastic

RECIPES = Path(__file__).parents[2] / "recipes"
NAMES = sorted(path.stem for path in RECIPES.glob("*.py") if "--smoke" in path.read_text() and path.stem != "__init__")
WRITES = {
    "cascade": "bundle/manifest.json",
    "codec_aware_edge": "network.safetensors",
    "distill_student": "student-0.safetensors",
    "elastic_cifar": "elastic.safetensors",
    "elastic_imagenet": "elastic.safetensors",
    "light_head": "light.safetensors",
    "repair": "",
    "teach_on_stream": "student.taught",
    "train_bottleneck": "bottleneck.safetensors",
    "video_student": "student.safetensors",
}

MEASURED = {
    "cascade": {"share", "score", "loss_high", "compute", "threshold"},
    "codec_aware_edge": {"plain", "aware", "saved"},
    "distill_student": {"teacher", "mean", "rows"},
    "teach_on_stream": {"alone", "taught", "up_bps", "down_bps", "updates"},
    "video_student": {"teacher", "student", "twin", "macs", "composed"},
    "light_head": {"macs", "head_s", "agreement", "curves"},
}


@pytest.fixture(autouse=True)
def _project_is_on_the_path(monkeypatch):
    monkeypatch.syspath_prepend(str(RECIPES.parent))
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def recipe(name):
    return importlib.import_module(f"recipes.{name}")


def test_all_recipes_are_known():
    assert set(NAMES) == set(WRITES)


@pytest.mark.parametrize("name", NAMES)
def test_it_runs_in_seconds(name, tmp_path, capsys):
    out = tmp_path / ("out" if WRITES[name] else "elastic.safetensors")
    recipe(name).main(["--smoke", "-o", str(out)])
    assert (out / WRITES[name]).stat().st_size > 1000
    assert "%" in capsys.readouterr().out or name == "elastic_cifar"
    if name in MEASURED:
        document = json.loads((out / "measured.json").read_text())
        assert MEASURED[name] <= set(document)
        if name == "light_head":
            assert document["macs"]["light"] <= 0.5 * document["macs"]["full"]
            assert all(row["bytes"] > 0 for row in document["curves"]["light"])


@pytest.mark.parametrize("name", NAMES)
def test_its_help_shows_examples(name, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", [name, "--help"])
    with pytest.raises(SystemExit):
        recipe(name).main()
    text = capsys.readouterr().out
    assert len(re.findall(rf"^    (?:python|accelerate launch) -m recipes\.{name} ", text, re.MULTILINE)) >= 2
    assert f"python -m recipes.{name} --smoke" in text


@pytest.mark.parametrize("path", sorted(RECIPES.glob("*.py")), ids=lambda path: path.stem)
def test_it_is_short(path):
    assert path.read_text().count("\n") < 150


def test_a_bottleneck_of_a_folder_of_folders_is_measured_on_images_kept_aside(tmp_path, monkeypatch):
    import numpy as np
    from PIL import Image

    from adaedge import Bottleneck, models

    train_bottleneck = recipe("train_bottleneck")
    rng = np.random.default_rng(0)
    for place in range(12):
        path = tmp_path / "photos" / f"class{place % 3}" / f"{place}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (8, 8, 3), np.uint8)).resize((180, 170)).save(path)
    model = models.load("timm:test_resnet", pretrained=False)
    monkeypatch.setattr(train_bottleneck.models, "load", lambda name: model)
    out = tmp_path / "out"
    asked = ["--model", "mine", "--images", str(tmp_path / "photos"), "--split", "layer1", "--epochs", "1"]
    train_bottleneck.main([*asked, "-o", str(out)])
    written = json.loads((out / "curve.json").read_text())
    assert written["split"] == "layer1"
    assert {name: len(rows) for name, rows in written["curves"].items()} == {"JPEG": 9, "fitted": 10, "refined": 10}
    for rows in written["curves"].values():
        assert rows[0]["payload_bytes"] < rows[-1]["payload_bytes"]
        assert rows[0]["divergence"] > rows[-1]["divergence"]
    assert (out / "curve.png").stat().st_size > 1000
    again = Bottleneck.load(out / "bottleneck.safetensors", model.module, model.args)
    assert again.split == "layer1"


def test_one_width_alone_starts_from_the_same_slices(tmp_path):
    elastic_cifar, resnet = recipe("elastic_cifar"), recipe("cifar_resnet")
    elastic_cifar.main(["--smoke", "-o", str(tmp_path), "--alone", "0.5"])
    assert (tmp_path / "alone-0.5.safetensors").exists()
    elastic_cifar.main(["--smoke", "-o", str(tmp_path)])
    elastic = Elastic.load(tmp_path / "elastic.safetensors", resnet.CifarResNet(8), (elastic_cifar.EXAMPLE,))
    assert elastic.widths == (1.0, 0.75, 0.5, 0.25)
    assert elastic.level(0.5)(torch.rand(2, 3, 32, 32)).shape == (2, 10)


def test_every_width_of_a_cifar_resnet_has_its_share_of_the_multiplications():
    elastic = recipe("elastic_cifar").make(20, [1.0, 0.75, 0.5, 0.25], None)
    for width in elastic.widths:
        assert elastic.macs(width) / elastic.macs(1.0) == pytest.approx(width, abs=0.01)
    inner = {name for name, _ in elastic.net.named_modules() if name.endswith("conv1") and "layer" in name}
    assert {group.name for group in elastic.groups} == inner


def test_published_weights_give_the_published_accuracy(data_dir):
    from safetensors.torch import load_file

    net = recipe("cifar_resnet").CifarResNet(20)
    net.load_state_dict(load_file(data_dir / "weights" / "cifar_resnet20.safetensors"))
    images, labels = first_images(data_dir / "cifar10-jpeg.tar", 200)
    with torch.no_grad():
        right = net.eval()(recipe("cifar10").normalise(images)).argmax(1) == labels
    assert right.float().mean() > 0.7  # 81 % on all 10,000


def first_images(tar, count):
    """Some test images, without decoding all of the archive."""
    import io
    import tarfile

    from PIL import Image
    from torchvision.transforms.v2.functional import pil_to_tensor

    with tarfile.open(tar) as archive:
        members = [member for member in archive.getmembers() if member.isfile() and member.name.startswith("test/")]
        members = members[:: len(members) // count]
        classes = sorted({member.name.split("/")[1] for member in members})
        images = [pil_to_tensor(Image.open(io.BytesIO(archive.extractfile(m).read()))) for m in members]
    return torch.stack(images), torch.tensor([classes.index(m.name.split("/")[1]) for m in members])


def test_an_archive_is_decoded_once_and_in_order(tmp_path):
    import io
    import tarfile

    from PIL import Image

    cifar10, path = recipe("cifar10"), tmp_path / "tiny.tar"
    with tarfile.open(path, "w") as archive:
        for place, name in enumerate(["train/dog/1.jpg", "train/cat/0.jpg", "test/dog/0.jpg", "test/cat/0.jpg"]):
            content = io.BytesIO()
            Image.new("RGB", (32, 32), (60 * place, 0, 0)).save(content, "PNG")
            member = tarfile.TarInfo(name)
            member.size = content.tell()
            content.seek(0)
            archive.addfile(member, content)
    arrays = cifar10.read(path, tmp_path / "cache")
    assert arrays["train_labels"].tolist() == arrays["test_labels"].tolist() == [0, 1]
    assert arrays["train_images"][:, 0, 0, 0].tolist() == [60, 0]
    path.unlink()
    assert torch.equal(cifar10.read(path, tmp_path / "cache")["test_images"], arrays["test_images"])


def test_an_augmented_image_is_a_crop_of_the_padded_one_flipped_half_of_the_time():
    cifar10 = recipe("cifar10")
    images = torch.rand(200, 3, 32, 32)
    made = cifar10.augment(images)
    padded = nn.functional.pad(images, (4, 4, 4, 4))
    flips = 0
    for image, result in zip(padded, made, strict=True):
        crops = image.unfold(1, 32, 1).unfold(2, 32, 1).permute(1, 2, 0, 3, 4)
        straight = (crops == result).all(-1).all(-1).all(-1).any()
        flipped = (crops == result.flip(-1)).all(-1).all(-1).all(-1).any()
        assert straight or flipped
        flips += bool(flipped)
    assert 60 < flips < 140
