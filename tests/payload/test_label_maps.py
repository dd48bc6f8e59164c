"""Label maps: what comes back, how few bytes a map takes, and what is refused."""

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adaedge.errors import CodecError, PayloadError
from adaedge.payload.answers import label_maps
from adaedge.payload.answers.label_maps import decode, encode

pytestmark = pytest.mark.usefixtures("either_loops")

shapes = hnp.array_shapes(min_dims=3, max_dims=3, max_side=21)
maps_of_any_kind = st.one_of(
    hnp.arrays(np.uint8, shapes),
    hnp.arrays(np.uint8, shapes, elements=st.integers(0, 2), fill=st.just(1)),
    hnp.arrays(np.int32, shapes, elements=st.integers(-(2**31), 2**31 - 1), fill=st.just(300)),
)


def discs(side=129, count=1):
    """Maps with two round objects on a background."""
    y, x = np.mgrid[:side, :side] / side
    found = []
    for at in range(count):
        objects = np.zeros((side, side), np.uint8)
        objects[(y - 0.4) ** 2 + (x - 0.3 - 0.02 * at) ** 2 < 0.03] = 15
        objects[(y - 0.7) ** 2 + (x - 0.6) ** 2 < 0.02] = 5
        found.append(objects)
    return np.stack(found)


@settings(deadline=None, max_examples=80)
@given(maps_of_any_kind)
def test_every_map_comes_back(maps):
    found = decode(encode(maps), maps.dtype.name, maps.shape)
    assert found.dtype == maps.dtype
    assert found.flags.writeable
    np.testing.assert_array_equal(found, maps)


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 1, 40), (2, 40, 1), (1, 2, 33), (3, 129, 7), (1, 128, 130)])
def test_every_shape_comes_back(shape):
    maps = np.random.default_rng(1).integers(3, size=shape).astype(np.uint8)
    np.testing.assert_array_equal(decode(encode(maps), "uint8", shape), maps)


def test_a_map_of_objects_takes_a_few_dozen_bytes():
    assert len(encode(discs())) == 58
    assert len(encode(np.full((1, 129, 129), 7, np.uint8))) == 4


def test_noise_takes_hardly_more_than_its_values():
    noise = np.random.default_rng(0).integers(21, size=(1, 129, 129)).astype(np.uint8)
    assert len(encode(noise)) < 1.02 * noise.size


def test_the_bytes_are_these():
    """A format is pinned by a literal."""
    small = np.array([[[3, 3, 3, 3, 9], [3, 3, 9, 9, 9], [3, 3, 9, 9, 9]]], np.uint8)
    assert encode(small).hex() == SMALL
    assert encode(np.full((2, 3, 3), -2, np.int32)).hex() == "010100feffffff"


SMALL = "0102000309fe00000018001ef9"


def test_what_is_not_its_writing_is_refused():
    segment = encode(discs(33))
    for wrong in (segment[:-2], segment + bytes(4), segment[:6] + bytes(4) + segment[10:], segment + segment[6:]):
        with pytest.raises(PayloadError, match="corrupted payload"):
            decode(wrong, "uint8", (1, 33, 33))
    with pytest.raises(PayloadError, match="not those that its label map would be written in"):
        decode(segment, "uint8", (1, 33, 34))
    with pytest.raises(PayloadError, match="a label map takes 3 bytes or more; 2 came"):
        decode(segment[:2], "uint8", (1, 33, 33))
    with pytest.raises(PayloadError, match=r"a label map of format 2; this adaedge reads 1. Install the same"):
        decode(b"\2" + segment[1:], "uint8", (1, 33, 33))
    with pytest.raises(PayloadError, match=r"0 labels and whole words of 4 bytes make a label map; 3 bytes came"):
        decode(b"\1\0\0", "uint8", (1, 33, 33))
    with pytest.raises(PayloadError, match="1 labels and whole words"):
        decode(b"\1\1\0\7" + bytes(4), "uint8", (1, 33, 33))
    with pytest.raises(PayloadError, match="not in ascending order"):
        decode(segment[:3] + segment[5:2:-1] + segment[6:], "uint8", (1, 33, 33))
    with pytest.raises(PayloadError, match="corrupted payload"):
        decode(segment, "int32", (1, 33, 33))


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_any_damage_is_refused_or_gives_labels_that_occur(data):
    segment = bytearray(encode(discs(33)))
    at = data.draw(st.integers(3, len(segment) - 1))
    segment[at] ^= data.draw(st.integers(1, 255))
    try:
        found = decode(segment, "uint8", (1, 33, 33))
    except PayloadError:
        return
    assert set(np.unique(found)) <= set(segment[3:6])


def test_too_many_labels_are_refused():
    many = np.arange(2**16, dtype=np.int32).reshape(1, 256, 256)
    with pytest.raises(CodecError, match=r"at most 65535 labels; 65536 occur. Use raw"):
        encode(many)
    np.testing.assert_array_equal(decode(encode(many[:, :99, :99]), "int32", (1, 99, 99)), many[:, :99, :99])


def test_every_pattern_of_equal_labels_has_a_table_of_its_own():
    patterns = label_maps._patterns()
    assert len(patterns) == 15  # the partitions of four
    assert patterns[0] == (0, 0, 0, 0)
    assert patterns[-1] == (0, 1, 2, 3)
    assert [label_maps._TABLE_OF[one[1:]] for one in patterns] == list(range(15))
