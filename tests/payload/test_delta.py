"""What changed of latents: both ends hold the same; what is unchanged costs nothing; what is refused."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adaedge.errors import CodecError, PayloadError
from adaedge.payload.entropy import plain, stack
from adaedge.payload.latent import DeltaCodec, LatentCodec, loops
from adaedge.payload.latent.change_tables import ESCAPE, LARGEST, ChangeTables
from adaedge.payload.latent.changes import changes_of
from adaedge.payload.latent.contexts import START
from adaedge.payload.latent.storage import from_bytes, to_bytes
from adaedge.payload.latent.tables import LIMIT
from adaedge.payload.message import MAX_BYTES, TensorHeader

sys.path.insert(0, str(Path(__file__).parent))
from latents import change_tables, made, moving

LATENTS = moving()
PLACELESS = moving(places=False)


def codec(rate=1, latents=LATENTS):
    return DeltaCodec(LatentCodec(latents, rate))


def scenes(count, seed=0, batch=1, latents=LATENTS, moves=0.05):
    """Features of a camera that stands still: a part of them moves, and now and then all of them do."""
    generator = np.random.default_rng(seed)
    shape = (batch, *latents.layout.planes[0].shape)
    tensor = 3 * generator.normal(size=shape).astype(np.float32)
    found = []
    for _ in range(count):
        if generator.random() < 0.1:
            tensor = generator.choice([0.0, 3.0, 300.0]) * generator.normal(size=shape).astype(np.float32)
        changed = generator.random(shape) < moves
        tensor = np.where(changed, tensor + generator.normal(size=shape), tensor).astype(np.float32)
        found.append(tensor)
    return found


def same(one, other):
    return (
        (one.fingerprint, one.rate, one.paces) == (other.fingerprint, other.rate, other.paces)
        and np.array_equal(one.held, other.held)
        and np.array_equal(one.activity, other.activity)
    )


def decoded(by, payload, reference=None):
    headers, segments = payload
    return by.decode(headers, segments, MAX_BYTES, reference)


def sent_bytes(payload):
    (segment,) = payload[1]
    return len(segment)


STEPS = st.tuples(st.integers(0, 2), st.sampled_from(["kept"] * 4 + ["lost", "refresh", "damaged"]))


@pytest.mark.usefixtures("either_loops")
@given(st.lists(STEPS, min_size=1, max_size=14), st.integers(0, 999), st.sampled_from([LATENTS, PLACELESS]))
@settings(max_examples=25, deadline=None)
def test_both_ends_hold_the_same_whatever_is_lost(steps, seed, latents):
    """Law 5a: over losses, refreshes, damage and changes of rate."""
    here = there = None
    for tensor, (rate, fate) in zip(scenes(len(steps), seed, latents=latents), steps, strict=True):
        by = codec(rate, latents)
        payload, after = by.encode([tensor], (), None if fate == "refresh" else here)
        if fate == "damaged":
            with pytest.raises(PayloadError):  # another reference than the payload builds upon is not even looked at
                decoded(codec(rate, moving(seed=1)), payload, there or after)
        if fate in ("lost", "damaged"):
            here = there = None  # nobody knows what the other end holds
            continue
        (features,), there = decoded(by, payload, None if fate == "refresh" else there)
        assert same(after, there)
        believed = latents.rebuild(latents.dequantise(after.held.astype(np.int32), rate))
        assert np.array_equal(features, latents.layout.tensors(believed)[0])
        here = after


@pytest.mark.parametrize("latents", [LATENTS, PLACELESS], ids=["places", "rows"])
def test_the_loops_in_c_and_in_python_write_the_same_bytes(latents, monkeypatch):
    if stack.compiled is None or loops.compiled is None:
        pytest.skip("the extension is not built here")
    found = []
    for coder, kind in ((stack.compiled, loops.compiled), (plain, loops.Plain)):
        monkeypatch.setattr(stack, "LOOPS", coder)
        monkeypatch.setattr(loops, "LOOPS", kind)
        reference, payloads = None, []
        for at, tensor in enumerate(scenes(8, 3, latents=latents)):
            payload, reference = codec(at // 3, latents).encode([tensor], (), reference)
            payloads.append(bytes(payload[1][0]))
        found.append(payloads)
    assert found[0] == found[1]


@pytest.mark.parametrize("batch", [1, 3])
def test_samples_are_coded_each_upon_its_own(batch):
    here = there = None
    for tensor in scenes(5, 5, batch=batch):
        payload, here = codec().encode([tensor], (), here)
        (found,), there = decoded(codec(), payload, there)
        assert same(here, there)
        apart = np.square(found[:, None] - tensor[None]).sum(axis=(2, 3, 4))
        assert apart.argmin(axis=1).tolist() == list(range(batch))
        assert here.nbytes == here.held.nbytes + here.activity.nbytes == there.nbytes
    for other in (batch + 1, batch):  # all anew, on both ends
        payload, here = codec().encode([scenes(1, 5, batch=other)[0]], (), here)
        _, there = decoded(codec(), payload, there)
        assert same(here, there)
        assert (here.activity == START).all()


def test_what_does_not_change_costs_nothing():
    (tensor,) = scenes(1)
    _, reference = codec().encode([tensor])
    for _ in range(3):
        payload, reference = codec().encode([tensor], (), reference)
        assert payload[1] == (b"",)
    noisy = tensor + 0.02 * np.random.default_rng(0).normal(size=tensor.shape).astype(np.float32)
    payload, _ = codec().encode([noisy], (), reference)
    assert sent_bytes(payload) <= 24


@pytest.mark.parametrize("to", [0.0, 1.0, 40.0])
@pytest.mark.parametrize("rate", [0, 2])
def test_a_change_of_scene_takes_no_more_than_a_refresh(to, rate):
    before, after = scenes(1, 1)[0], to * scenes(1, 2)[0]
    _, reference = codec(rate).encode([before])
    alone, _ = codec(rate).encode([after])
    upon, _ = codec(rate).encode([after], (), reference)
    assert sent_bytes(upon) <= sent_bytes(alone) + 4


def test_a_refresh_takes_no_more_than_the_bottleneck():
    for tensor in scenes(6, 4):
        headers, segments = LatentCodec(LATENTS, 2).encode([tensor])[0]
        assert sent_bytes(codec(2).encode([tensor])[0]) <= sum(map(len, segments))
        assert headers == codec(2).encode([tensor])[0][0]


def test_a_rate_follows_another_without_a_refresh():
    (tensor,) = scenes(1, 6)
    for before, after in ((0, 2), (2, 0), (1, 2)):
        _, reference = codec(before).encode([tensor])
        upon, held = codec(after).encode([tensor], (), reference)
        alone, _ = codec(after).encode([tensor])
        assert sent_bytes(upon) < 0.9 * sent_bytes(alone)
        assert held.rate == after
        exact = LATENTS.analyse(LATENTS.layout.rows([tensor])).reshape(-1)[LATENTS.sent(after)[0]]
        assert np.abs(exact / LATENTS.steps[after] - held.held[0]).max() <= 0.8


def test_a_reference_is_not_used_up():
    first, second = scenes(2, 7)
    _, reference = codec().encode([first])
    held = reference.held.copy()
    assert codec().encode([second], (), reference)[0] == codec().encode([second], (), reference)[0]
    assert np.array_equal(reference.held, held)


def test_a_value_that_jumps_beyond_its_table_is_escaped():
    latents = replace(PLACELESS, spread=np.full_like(PLACELESS.spread, 8))
    (tensor,) = scenes(1, 8, latents=latents)
    _, reference = codec(2, latents).encode([tensor])
    for more in (40.0, -3000.0, 1e9):
        jumped = tensor.copy()
        jumped[0, :, 3, 4] += more
        payload, here = codec(2, latents).encode([jumped], (), reference)
        _, there = decoded(codec(2, latents), payload, reference)
        assert same(here, there)
        assert here.activity.max() == next_activity(reference.activity[0][:1], 99).max() > START
        assert np.abs(here.held.astype(int)).max() > LARGEST


def next_activity(activity, change):
    found = np.empty_like(activity)
    loops.LOOPS.after(np.zeros(1, np.int32), np.full(1, change, np.int32), activity, np.empty(1, np.int16), found)
    return found


@pytest.mark.usefixtures("either_loops")
def test_activity_is_a_decaying_mean_of_what_changed():
    still, moved = np.full(1, START, np.uint8), np.full(1, START, np.uint8)
    for _ in range(40):
        still, moved = next_activity(still, 0), next_activity(moved, -1)
    assert (still.tolist(), moved.tolist()) == ([0], [61])
    assert next_activity(np.full(1, 255, np.uint8), 7).tolist() == [239]


def symbols_of(change, held):
    """By the encoder's loop, of coefficients that are where the change leads."""
    count = len(change)
    found, sizes = (np.empty(count, np.int32) for _ in range(2)), np.empty(count, np.uint8)
    changes, symbols = found
    where = (held + change).astype(np.float64), np.arange(count), 1.0, held.astype(np.int32), np.zeros(count, np.uint32)
    counts = loops.LOOPS.choose(*where, np.full(1, 0.5, np.float32), LIMIT, ESCAPE, changes, symbols, sizes)
    assert np.array_equal(changes, change)
    assert np.array_equal(sizes, np.minimum(np.abs(change), 2))
    assert counts == (np.count_nonzero(change), np.count_nonzero(symbols == ESCAPE))
    return symbols


@pytest.mark.usefixtures("either_loops")
def test_changes_and_symbols_are_inverses():
    change = np.arange(-LARGEST, LARGEST + 1)
    for held in (-2, 0, 5):
        of = np.full_like(change, held)
        symbols = symbols_of(change, of)
        assert sorted(symbols) == list(range(ESCAPE))
        assert symbols[change == 0] == 0
        assert np.array_equal(changes_of(symbols, of), change)
        assert (symbols_of(np.array([-LARGEST - 1, LARGEST + 1, 9999]), of[:3]) == ESCAPE).all()
    assert symbols_of(np.array([1]), np.array([-3])) == symbols_of(np.array([-1]), np.array([3])) == 1  # towards 0


def test_what_the_bytes_are():
    latents = moving(side=4, width=2)
    (one,) = scenes(1, 9, latents=latents)
    other = one + np.linspace(0, 2, one.size, dtype=np.float32).reshape(one.shape)
    first, reference = codec(0, latents).encode([one])
    second, _ = codec(0, latents).encode([other], (), reference)
    assert bytes(first[1][0]).hex() == "0563c6c2a3b0fe454ddbd811"
    assert bytes(second[1][0]).hex() == "43c21fbfa1"


def test_bad_bytes_are_refused_by_name():
    one, other = scenes(2, 10)
    (headers, (segment,)), reference = codec().encode([one])
    (_, (following,)), _ = codec().encode([other], (), reference)
    by = codec()
    for data, match in [
        (segment[:-1], "corrupted payload|stale reference"),
        (segment + b"\1", "corrupted payload|stale reference"),
        (b"\0" + segment, "begins with a zero, which is never sent"),
        (following, "stale reference: this payload holds changes, and what they build upon is not held"),
        (b"", "stale reference: this payload holds changes"),
    ]:
        with pytest.raises(PayloadError, match=match):
            by.decode(headers, [data], MAX_BYTES)
    for more in range(1, 6):
        with pytest.raises(PayloadError, match="corrupted payload: its bytes do not decode"):
            by.decode(headers, [bytes([more]) + following], MAX_BYTES, reference)
    for segments in ([], [segment, segment]):
        with pytest.raises(PayloadError, match=f"one segment of a sample or more is due, {len(segments)} came"):
            by.decode(headers, segments, MAX_BYTES)
    with pytest.raises(PayloadError, match="oversized payload"):
        by.decode(headers, [segment], 100)
    with pytest.raises(PayloadError, match="this bottleneck writes"):
        by.decode((TensorHeader("float32", (1, 6, 12, 13)),), [segment], MAX_BYTES)


@given(st.binary(max_size=80), st.booleans())
@settings(max_examples=60, deadline=None)
def test_no_bytes_do_more_than_decode_or_be_refused(data, upon):
    (tensor,) = scenes(1)
    (headers, _), reference = codec().encode([tensor])
    try:
        (found,), kept = codec().decode(headers, [data], MAX_BYTES, reference if upon else None)
    except PayloadError:
        return
    assert np.isfinite(found).all()
    assert np.abs(kept.held.astype(int)).max() <= LIMIT


def test_a_reference_of_anything_else_is_refused():
    (tensor,) = scenes(1)
    payload, reference = codec().encode([tensor])
    other = codec(latents=moving(seed=1))
    assert codec(2).accepts(reference)
    for by, wrong in ((other, reference), (codec(), object())):
        assert not by.accepts(wrong)
        with pytest.raises(CodecError, match=r"which this bottleneck does not build upon\. Send a refresh\."):
            by.encode([tensor], (), wrong)
        with pytest.raises(PayloadError, match=r"stale reference: .* which this bottleneck does not build upon"):
            decoded(by, payload, wrong)


def test_without_tables_there_is_no_delta():
    with pytest.raises(CodecError, match=r"no tables of changes: they are fitted on clips\. Build it with the codec"):
        codec(latents=made())


def test_the_file_keeps_the_tables():
    data = to_bytes("1", LATENTS)
    _, again = from_bytes(data, "a file")
    assert again.fingerprint == LATENTS.fingerprint != made().fingerprint
    assert from_bytes(to_bytes("1", made()), "a file")[1].changes is None
    at = data.rindex(LATENTS.changes.weights.tobytes())
    with pytest.raises(CodecError, match="was changed"):
        from_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :], "a file")


def test_tables_that_cannot_be_are_refused():
    tables = change_tables()
    with pytest.raises(CodecError, match=r"of other shapes; got .* Fit them again"):
        replace(tables, weights=tables.weights[1:])
    with pytest.raises(CodecError, match=r"passes 2\*\*20, where sums may overflow"):
        replace(tables, weights=tables.weights * 2**20)
    with pytest.raises(CodecError, match="are positive"):
        ChangeTables(tables.weights, tables.frequencies * 0, tables.thresholds)
