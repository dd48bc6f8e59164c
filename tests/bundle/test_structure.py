import re

import pytest

from adaedge.bundle import Manifest, TensorSpec
from adaedge.bundle.structure import check, nest
from adaedge.errors import BundleError, IntegrityError


@pytest.mark.parametrize(
    ("structure", "expected"),
    [
        (None, ("a", "b", "c")),
        ({"list": [2, 1, 0]}, ["c", "b", "a"]),
        ({"dict": [["z", 0], ["a", {"tuple": [1, {"dict": [[7, 2]]}]}]]}, {"z": "a", "a": ("b", {7: "c"})}),
        ({"tuple": [{"constant": None}, 0, {"constant": "x"}, {"list": [1, 2]}]}, (None, "a", "x", ["b", "c"])),
    ],
)
def test_leaves_come_to_their_places(structure, expected):
    check(structure, 3)
    found = nest(structure, ["a", "b", "c"])
    assert found == expected
    assert type(found) is type(expected)
    if isinstance(found, dict):
        assert list(found) == ["z", "a"], "in the model's order"


@pytest.mark.parametrize(
    "structure",
    [1, 0, {"list": [0]}, {"list": [0, 1, 2]}, {"list": [-1, 0, 1]}, {"list": [0, True]}, {"set": [0, 1]}, {}, "x",
     {"list": 3}, {"dict": [[0], [1]]}, {"dict": {"a": 0}}, {"list": [0, 1], "tuple": []}, {"list": [0, None]}],
)  # fmt: skip
def test_what_is_no_structure_of_the_outputs_is_refused(structure):
    with pytest.raises(BundleError, match=r"outputs nest in dict, list|the nesting of 2 outputs has each"):
        check(structure, 2)


def test_a_manifest_keeps_it_and_refuses_a_wrong_one():
    outputs = (TensorSpec("a", "float32", (1, 2)), TensorSpec("b", "float32", (1, 2)))
    structure = {"dict": [["second", 1], ["first", 0]]}
    manifest = Manifest("m", "0", (), outputs, {}, (), (), answer="f16", structure=structure)
    data = manifest.to_bytes()
    read = Manifest.from_bytes(data)
    assert (read.answer, read.structure) == ("f16", structure)
    with pytest.raises(IntegrityError, match="a field does not read"):
        Manifest.from_bytes(re.sub(rb'("second",\s+)1', rb"\g<1>4", data))
