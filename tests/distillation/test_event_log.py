"""The log's bytes: pinned, and read back by a reader of the format."""

from __future__ import annotations

import struct

import torch
from torch import nn
from torch.utils.data import DataLoader

from adaedge.distillation import Plan, SoftTargets, distill
from adaedge.distillation.event_log import EventLog, _checksum, _record


def crc32c(content):
    """Bit by bit, as RFC 3720 defines it."""
    found = 0xFFFFFFFF
    for byte in content:
        for bit in range(8):
            top = found & 1 ^ byte >> bit & 1
            found = found >> 1 ^ 0x82F63B78 * top
    return found ^ 0xFFFFFFFF


def masked(content):
    found = crc32c(content)
    return ((found >> 15 | found << 17) + 0xA282EAD8) & 0xFFFFFFFF


def records(data):
    while data:
        (length,) = struct.unpack("<Q", data[:8])
        assert struct.unpack("<I", data[8:12])[0] == masked(data[:8])
        content = data[12 : 12 + length]
        assert struct.unpack("<I", data[12 + length : 16 + length])[0] == masked(content)
        yield content
        data = data[16 + length :]


def fields(data):
    """Number → values of a protocol buffer."""

    def varint(at):
        value = shift = 0
        while True:
            value |= (data[at] & 127) << shift
            shift, at = shift + 7, at + 1
            if data[at - 1] < 128:
                return value, at

    found, at = {}, 0
    while at < len(data):
        key, at = varint(at)
        kind = key & 7
        if kind == 0:
            value, at = varint(at)
        elif kind == 2:
            length, at = varint(at)
            value, at = data[at : at + length], at + length
        else:
            size, form = (8, "<d") if kind == 1 else (4, "<f")
            (value,) = struct.unpack(form, data[at : at + size])
            at += size
        found.setdefault(key >> 3, []).append(value)
    return found


def read(folder):
    """(step, tag, value) of every scalar in a folder."""
    found = []
    for path in sorted(folder.iterdir()):
        first, *rest = map(fields, records(path.read_bytes()))
        assert first[3] == [b"brain.Event:2"]
        for event in rest:
            for value in (fields(each) for summary in event[5] for each in fields(summary)[1]):
                found.append((event[2][0], value[1][0].decode(), value[2][0]))
    return found


def test_checksums_are_those_of_the_standard():
    assert crc32c(b"123456789") == 0xE3069283
    assert _checksum(b"123456789") == masked(b"123456789")
    assert _record(b"") == bytes.fromhex("000000000000000029039807d8ea82a2")


def test_what_is_written_is_read(tmp_path):
    with EventLog.opened(tmp_path) as log:
        log.write(0, {"a": 1.5})
        log.write(70_000, {"a": -2.0, "two words": 0.25})
    assert read(tmp_path) == [(0, "a", 1.5), (70_000, "a", -2.0), (70_000, "two words", 0.25)]


def test_a_training_logs_its_losses_and_its_rate(tmp_path):
    data = DataLoader(torch.rand(64, 4), 1)
    plan = Plan(2, log=tmp_path / "log")
    rows = distill(nn.Linear(4, 3), nn.Linear(4, 3).eval(), data, loss=SoftTargets(), plan=plan)
    found = read(tmp_path / "log")
    assert [step for step, tag, _ in found if tag == "learning rate"] == [0, 50, 100]
    epochs = [(step, torch.tensor(value)) for step, tag, value in found if tag == "epoch/loss"]
    assert [step for step, _ in epochs] == [64, 128]
    torch.testing.assert_close(torch.stack([value for _, value in epochs]), torch.tensor([row["loss"] for row in rows]))
