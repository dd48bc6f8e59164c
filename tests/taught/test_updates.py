"""Updates of a taught network: taken in order, swapped whole, refused otherwise, whatever was done to them."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from adaedge.errors import BundleError, IntegrityError, LinkError, PayloadError, ScheduleError
from adaedge.metrics import Agreement, LabelIoU
from adaedge.operating_point import OperatingPoint
from adaedge.taught import Delta, Gate, TaughtNetwork, Update, UpdateKey, apply, fingerprint

KEY = UpdateKey("a secret of thirty-two characters")
SMALL = OperatingPoint("output", network="small")


@pytest.fixture(scope="module")
def built():
    torch = pytest.importorskip("torch")
    from adaedge.builder import Space, build

    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(6, 64), torch.nn.ReLU(), torch.nn.Linear(64, 50)).eval()
    small = torch.nn.Sequential(torch.nn.Linear(6, 40), torch.nn.ReLU(), torch.nn.Linear(40, 50)).eval()
    return build(net, (torch.zeros(1, 6),), Space([], networks={"small": small}))


@pytest.fixture
def bundle(built):
    """With engines of its own."""
    return built.with_threads(1)


@pytest.fixture
def taught(bundle):
    return TaughtNetwork(bundle, "small", KEY)


def update(taught, bundle, *, seed=0, base=None, version=None, network="small", digest=None, after=None):
    """The next update of a taught network: a tenth of its weights moved."""
    generator, weights = np.random.default_rng(seed), taught.weights
    deltas = {}
    for name, array in weights.items():
        chosen = generator.random(array.shape) < 0.1
        deltas[name] = Delta.of(generator.normal(0, 0.1, array.shape), chosen)
    base = taught.version if base is None else base
    made = after or fingerprint(apply(weights, deltas))
    version = base + 1 if version is None else version
    return Update(digest or bundle.digest, network, base, version, fingerprint(weights), made, deltas)


def frame(seed=0):
    return (np.random.default_rng(seed).standard_normal((1, 6)).astype(np.float32),)


def expected(weights, inputs):
    hidden = np.maximum(inputs[0] @ weights["small/0.weight"].T + weights["small/0.bias"], 0)
    return hidden @ weights["small/2.weight"].T + weights["small/2.bias"]


def test_an_update_is_what_the_bundle_runs_from_then_on(bundle, taught):
    before, full = bundle.run(SMALL, frame())[0], bundle.run(OperatingPoint("output"), frame())[0]
    for version in (1, 2, 3):
        wanted = apply(taught.weights, update(taught, bundle, seed=version).deltas)
        assert taught.receive(update(taught, bundle, seed=version).to_bytes(KEY)) == version == taught.version
        assert fingerprint(taught.weights) == fingerprint(wanted)
        np.testing.assert_allclose(bundle.run(SMALL, frame())[0], expected(wanted, frame()), rtol=1e-4, atol=1e-5)
    assert np.abs(bundle.run(SMALL, frame())[0] - before).max() > 0.05
    np.testing.assert_array_equal(bundle.run(OperatingPoint("output"), frame())[0], full)


def test_few_weights_take_few_bytes(bundle, taught):
    data = update(taught, bundle).to_bytes(KEY)
    assert len(data) < 0.35 * sum(array.nbytes for array in taught.weights.values())


def test_rolled_back_is_what_was_before_and_an_update_that_was_left_is_not_taken_again(bundle, taught):
    own = bundle.run(SMALL, frame())[0]
    left = update(taught, bundle).to_bytes(KEY)
    taught.receive(left)
    assert taught.roll_back() == 0
    np.testing.assert_array_equal(bundle.run(SMALL, frame())[0], own)
    with pytest.raises(PayloadError, match="version 1 comes again: 1 was received before"):
        taught.receive(left)
    with pytest.raises(BundleError, match="has no version before 0 to go back to"):
        taught.roll_back()
    assert taught.receive(update(taught, bundle, seed=2, base=0, version=2).to_bytes(KEY)) == 2


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"network": "other"}, "for the network 'other' of the bundle"),
        ({"digest": "ab" * 32}, "of the bundle abababababab…; this is 'small'"),
        ({"base": 7}, "builds upon version 7, and this terminal holds 1"),
        ({"version": 1}, "an update to version 1 comes again: 1 was received before"),
        ({"after": b"0" * 16}, "does not make the weights that it names"),
    ],
)
def test_what_does_not_fit_is_refused_though_it_is_signed(bundle, taught, change, why):
    taught.receive(update(taught, bundle).to_bytes(KEY))
    held = fingerprint(taught.weights)
    with pytest.raises(PayloadError, match=why):
        taught.receive(update(taught, bundle, seed=1, **{"base": 1, "version": 2} | change).to_bytes(KEY))
    assert (taught.version, fingerprint(taught.weights)) == (1, held)


def test_an_update_upon_other_weights_of_the_same_version_is_refused(bundle, taught):
    other = update(taught, bundle, seed=3)
    taught.receive(update(taught, bundle).to_bytes(KEY))
    late = Update(bundle.digest, "small", 1, 2, other.before, other.after, other.deltas)
    with pytest.raises(PayloadError, match="builds upon version 1, and this terminal holds 1"):
        taught.receive(late.to_bytes(KEY))


def test_forged_truncated_and_changed_ones_are_refused_and_the_old_weights_stand(bundle, taught):
    taught.receive(update(taught, bundle).to_bytes(KEY))
    held, good = fingerprint(taught.weights), update(taught, bundle, seed=1).to_bytes(KEY)
    generator = np.random.default_rng(0)
    for attempt in range(400):
        data = bytearray(good)
        if attempt % 4 == 0:
            data[generator.integers(len(data))] ^= 1 << int(generator.integers(8))
        elif attempt % 4 == 1:
            del data[generator.integers(len(data)) :]
        elif attempt % 4 == 2:
            data += generator.bytes(1 + generator.integers(50))
        else:
            data = bytearray(update(taught, bundle, seed=attempt).to_bytes(UpdateKey(generator.bytes(16))))
        with pytest.raises(PayloadError, match=r"update"):
            taught.receive(bytes(data))
    assert (taught.version, fingerprint(taught.weights)) == (1, held)
    assert taught.receive(good) == 2


def signed(head, body):
    import struct

    data = struct.pack("<4sHHIQQ32s16s16s", *head) + body
    return data + KEY.tag(data)


def test_what_is_signed_and_no_update_is_refused_by_what_is_wrong(bundle, taught):
    head = [b"AEWU", 1, 5, 3, 0, 1, bytes.fromhex(bundle.digest), bytes(16), bytes(16)]
    with pytest.raises(PayloadError, match="an update of format 9; this adaedge reads 1"):
        taught.receive(signed([b"AEWU", 9, *head[2:]], b"small123"))
    with pytest.raises(PayloadError, match="truncated update: 6 bytes of name and tensors, where its head says 8"):
        taught.receive(signed(head, b"small1"))
    with pytest.raises(PayloadError, match="corrupted update: its tensors do not read"):
        taught.receive(signed(head, b"small123"))
    with pytest.raises(PayloadError, match="not an update of weights: it begins with b'AEPL'"):
        taught.receive(signed([b"AEPL", *head[1:]], b"small123"))


def test_a_delta_that_does_not_fit_or_is_not_finite_is_refused():
    delta = Delta.of(np.ones(4), np.ones(4, bool))
    with pytest.raises(PayloadError, match="does not fit a tensor of 9 weights"):
        delta.added_to(np.zeros(9, np.float32))
    with pytest.raises(PayloadError, match="does not fit a tensor of 4 weights"):
        Delta(delta.mask, delta.values[:3], delta.scale).added_to(np.zeros(4, np.float32))
    with pytest.raises(PayloadError, match="not finite"):
        Delta(delta.mask, delta.values, np.float32("inf")).added_to(np.zeros(4, np.float32))
    with pytest.raises(PayloadError, match="changes 'b', which is no weight"):
        apply({"a": np.zeros(4, np.float32)}, {"b": delta})


def test_the_file_keeps_them_over_a_restart(bundle, tmp_path):
    path = tmp_path / "small.taught"
    first = TaughtNetwork(bundle, "small", KEY, path=path)
    first.receive(update(first, bundle).to_bytes(KEY))
    first.receive(update(first, bundle, seed=1).to_bytes(KEY))
    held, answer = fingerprint(first.weights), bundle.run(SMALL, frame())[0]
    bundle.save(tmp_path / "bundle")
    again = type(bundle).load(tmp_path / "bundle")
    second = TaughtNetwork(again, "small", KEY, path=path)
    assert (second.version, fingerprint(second.weights)) == (2, held)
    np.testing.assert_array_equal(again.run(SMALL, frame())[0], answer)
    assert second.roll_back() == 1
    third = TaughtNetwork(again, "small", KEY, path=path)
    assert third.version == 1
    with pytest.raises(PayloadError, match="comes again: 2 was received before"):
        third.receive(update(third, bundle, seed=1).to_bytes(KEY))


def test_a_file_of_another_key_bundle_or_with_a_changed_byte_is_refused(bundle, tmp_path):
    path = tmp_path / "small.taught"
    taught = TaughtNetwork(bundle, "small", KEY, path=path)
    taught.receive(update(taught, bundle).to_bytes(KEY))
    with pytest.raises(IntegrityError, match="no taught weights that this terminal's key signed"):
        TaughtNetwork(bundle, "small", UpdateKey("another secret of this length"), path=path)
    whole = path.read_bytes()
    path.write_bytes(whole[:100] + bytes([whole[100] ^ 1]) + whole[101:])
    with pytest.raises(IntegrityError, match="Delete it to begin with the bundle's own"):
        TaughtNetwork(bundle, "small", KEY, path=path)
    path.write_bytes(whole)
    from adaedge.taught import state_file

    with pytest.raises(BundleError, match="holds 'small' of the bundle"):
        state_file.read(path, KEY, "cd" * 32, "small", taught.weights)


@pytest.mark.parametrize("where", ["write", "sync", "replace", "load"])
def test_a_crash_in_the_middle_of_a_swap_leaves_one_or_the_other_whole(bundle, tmp_path, monkeypatch, where):
    path = tmp_path / "small.taught"
    taught = TaughtNetwork(bundle, "small", KEY, path=path)
    taught.receive(update(taught, bundle).to_bytes(KEY))
    kept, held = path.read_bytes(), fingerprint(taught.weights)

    def crash(*_, **__):
        raise KeyboardInterrupt

    target = {
        "write": "safetensors.numpy.save",
        "sync": "os.fsync",
        "replace": "pathlib.Path.replace",
        "load": "adaedge.engine.OnnxEngine.prepared",
    }[where]
    data = update(taught, bundle, seed=1).to_bytes(KEY)
    monkeypatch.setattr(target, crash)
    with pytest.raises(KeyboardInterrupt):
        taught.receive(data)
    monkeypatch.undo()
    assert path.read_bytes() == kept
    assert (taught.version, fingerprint(taught.weights)) == (1, held)
    again = TaughtNetwork(bundle, "small", KEY, path=path)
    assert fingerprint(again.weights) == held
    assert again.receive(data) == 2


def test_a_full_disk_leaves_the_old_weights(bundle, tmp_path, monkeypatch):
    taught = TaughtNetwork(bundle, "small", KEY, path=tmp_path / "small.taught")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    own = bundle.run(SMALL, frame())[0]
    with pytest.raises(BundleError, match=r"cannot keep the taught weights in .*No space left.*The old ones stand"):
        taught.receive(update(taught, bundle).to_bytes(KEY))
    assert taught.version == 0
    assert list(tmp_path.iterdir()) == []
    np.testing.assert_array_equal(bundle.run(SMALL, frame())[0], own)


def test_every_answer_is_of_one_version_while_updates_come(bundle, taught):
    inputs, versions = frame(), [expected(taught.weights, frame())]
    found, stop = [], threading.Event()

    def answer():
        while not stop.is_set():
            found.append(bundle.run(SMALL, inputs)[0])

    thread = threading.Thread(target=answer)
    thread.start()
    for seed in range(20):
        taught.receive(update(taught, bundle, seed=seed).to_bytes(KEY))
        versions.append(expected(taught.weights, inputs))
    stop.set()
    thread.join()
    assert found
    for one in found:
        assert min(np.abs(one - version).max() for version in versions) < 1e-4


def test_a_network_that_is_cut_or_not_there_cannot_be_taught(bundle):
    torch = pytest.importorskip("torch")
    from adaedge.builder import Space, build

    net = torch.nn.Sequential(torch.nn.Linear(6, 8), torch.nn.ReLU(), torch.nn.Linear(8, 5)).eval()
    cut = build(net, (torch.zeros(1, 6),), Space(["1"], networks={"small": net}))
    with pytest.raises(BundleError, match="is taught whole and in fp32, and this bundle also has it at 1/fp32"):
        TaughtNetwork(cut, "small", KEY)
    with pytest.raises(BundleError, match="has no network 'large'"):
        TaughtNetwork(bundle, "large", KEY)
    engine = bundle.engine(bundle.manifest.cut("output").head)
    with pytest.raises(BundleError, match=r"'0.bias' of float32 \(3,\), and it has one of float32 \(64,\)"):
        engine.reload({"0.bias": np.zeros(3, np.float32)})
    with pytest.raises(LinkError, match="16 bytes or more; got 5"):
        UpdateKey("short")


def test_a_gate_opens_where_the_last_labels_score_the_floor():
    gate, right, wrong = Gate(Agreement(), 0.7, window=4), (np.array([[1.0, 0.0]]),), (np.array([[0.0, 1.0]]),)
    assert not gate.is_open
    opened = []
    for given in (right, wrong, right, right, right, wrong, wrong):
        gate.saw(right, given)
        opened.append(gate.is_open)
    assert opened == [True, False, False, True, True, True, False]
    nothing = Gate(LabelIoU((5,)), 0.9)
    nothing.saw((np.zeros((1, 2, 2), int),), (np.zeros((1, 2, 2), int),))
    assert nothing.is_open
    nothing.saw((np.zeros((1, 2, 2), int),), (np.full((1, 2, 2), 5),))
    assert not nothing.is_open
    with pytest.raises(ScheduleError, match=r"a window of a frame or more; got 0\.5, 0"):
        Gate(Agreement(), 0.5, window=0)


def test_the_benchmark_of_ten_thousand_refuses_every_kind():
    pytest.importorskip("torch")
    from benchmarks.forged_updates import KINDS, counted

    found = counted(16)
    assert found["by_kind"] == dict.fromkeys(KINDS, 2)
    assert (found["refused"], found["taken"], found["kept_whole"]) == (16, 1, True)
