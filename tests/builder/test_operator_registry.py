"""The exporter's table of operators is parsed once, and the exporter is left as it was."""

from __future__ import annotations

import onnx_ir as ir
import torch
from torch import nn
from torch.onnx._internal.exporter import _registration

from adaedge.builder import operator_registry
from adaedge.builder.operator_registry import operators_read_once
from adaedge.builder.subgraphs import export

NET = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU()).eval()
IMAGE = torch.rand(1, 3, 8, 8)


def bytes_of_an_export():
    return ir.to_proto(export(NET, [IMAGE])).SerializeToString()


def test_the_second_export_parses_nothing_and_gives_the_same_graph(monkeypatch):
    first = bytes_of_an_export()
    monkeypatch.setattr(_registration.onnxscript_apis, "get_torchlib_ops", None)  # what parses
    assert bytes_of_an_export() == first


def test_the_exporter_is_left_as_it_was():
    parsing = vars(_registration.ONNXRegistry)["from_torchlib"]
    with operators_read_once():
        assert vars(_registration.ONNXRegistry)["from_torchlib"] is not parsing
    assert vars(_registration.ONNXRegistry)["from_torchlib"] is parsing


def test_each_version_of_the_operators_has_a_table_of_its_own():
    with operators_read_once():
        tables = [_registration.ONNXRegistry().from_torchlib(opset_version=version) for version in (18, 20, 18)]
    assert [table.opset_version for table in tables] == [18, 20, 18]
    assert tables[0] is tables[2]


def test_a_torch_that_keeps_it_elsewhere_exports_all_the_same(monkeypatch):
    monkeypatch.setattr(operator_registry, "_registry", lambda: type("Other", (), {}))
    assert bytes_of_an_export()
