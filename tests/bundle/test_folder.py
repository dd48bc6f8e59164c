from __future__ import annotations

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from adaedge.bundle import Bundle, folder
from adaedge.bundle.manifest import Manifest
from adaedge.errors import BundleError, BundleVersionError, IntegrityError
from adaedge.operating_point import OperatingPoint


@pytest.fixture
def saved(bundle, tmp_path):
    bundle.save(tmp_path / "net.bundle")
    return tmp_path / "net.bundle"


def test_save_and_load_give_the_same_outputs_and_the_same_name(bundle, saved, frames):
    loaded = Bundle.load(saved, engine=bundle.engine_name)
    assert loaded.digest == bundle.digest
    assert loaded.manifest == bundle.manifest
    inputs = (bundle.preprocess(frames[0]),)
    for point in bundle.points:
        assert np.array_equal(loaded.run(point, inputs)[0], bundle.run(point, inputs)[0])


def test_a_loaded_bundle_can_be_saved_again(saved, tmp_path):
    Bundle.load(saved).save(tmp_path / "copy")
    assert Bundle.load(tmp_path / "copy").digest == Bundle.load(saved).digest


@pytest.mark.parametrize("where", [0.0, 0.3, 0.7, 0.999])
def test_a_flipped_byte_in_any_file_is_refused_by_the_name_of_the_file(saved, where):
    for path in sorted(path for path in saved.rglob("*") if path.is_file()):
        data = bytearray(path.read_bytes())
        at = int(where * len(data))
        data[at] ^= 1
        path.write_bytes(data)
        with pytest.raises((IntegrityError, BundleVersionError), match=path.name):
            Bundle.load(saved)
        data[at] ^= 1
        path.write_bytes(data)
    Bundle.load(saved)


def test_every_byte_of_the_manifest_counts(saved):
    path = saved / "manifest.json"
    good = path.read_bytes()
    for at in range(0, len(good), 97):
        path.write_bytes(good[:at] + bytes([good[at] ^ 0x10]) + good[at + 1 :])
        with pytest.raises((IntegrityError, BundleVersionError), match=r"manifest\.json"):
            Bundle.load(saved)


def test_a_truncated_and_a_missing_file_are_named(saved):
    weights = saved / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    with pytest.raises(IntegrityError, match=r"weights\.safetensors is corrupted.*Copy the bundle again"):
        Bundle.load(saved)
    weights.unlink()
    with pytest.raises(IntegrityError, match=r"weights\.safetensors cannot be read"):
        Bundle.load(saved)


def test_a_bundle_of_another_version_is_refused_with_the_way_out(saved):
    path = saved / "manifest.json"
    document = json.loads(path.read_text()) | {"version": 99}
    path.write_text(json.dumps(document))
    with pytest.raises(
        BundleVersionError, match=r"version 99; this adaedge reads .* version 11\. Build the bundle again"
    ):
        Bundle.load(saved)


def test_what_is_no_bundle_is_said_to_be_none(tmp_path):
    with pytest.raises(BundleError, match=r"is not a bundle: its manifest\.json cannot be read.*adaedge build"):
        Bundle.load(tmp_path)


@pytest.mark.parametrize("name", ["../outside", "/etc/passwd", "graphs/../../outside", "C:\\outside", "a\\..\\..\\b"])
def test_a_path_outside_the_bundle_is_never_read(bundle, tmp_path, name):
    file = next(iter(bundle.manifest.files.values()))
    evil = replace(bundle.manifest, files={name: file})
    (tmp_path / "evil").mkdir()
    (tmp_path / "evil" / "manifest.json").write_bytes(evil.to_bytes())
    with pytest.raises(IntegrityError, match="outside the bundle"):
        Bundle.load(tmp_path / "evil")


def test_other_files_in_the_folder_are_left_alone(saved):
    (saved / "README").write_text("mine")
    Bundle.load(saved)


def test_symbolic_links_are_followed(saved, tmp_path):
    (tmp_path / "link").symlink_to(saved)
    Bundle.load(tmp_path / "link")


def test_saving_replaces_a_bundle_but_nothing_else(bundle, saved, tmp_path):
    (saved / "weights.safetensors").write_bytes(b"broken")
    bundle.save(saved)
    assert Bundle.load(saved).digest == bundle.digest
    mine = tmp_path / "photos"
    mine.mkdir()
    (mine / "cat.jpg").write_bytes(b"meow")
    with pytest.raises(BundleError, match="exists and is not a bundle; it was left as it is"):
        bundle.save(mine)
    assert (mine / "cat.jpg").read_bytes() == b"meow"
    (tmp_path / "file").write_text("text")
    with pytest.raises(BundleError, match="not a bundle"):
        bundle.save(tmp_path / "file")


def test_saving_leaves_nothing_behind_and_makes_folders(bundle, tmp_path):
    bundle.save(tmp_path / "a" / "b" / "net.bundle")
    bundle.save(tmp_path / "a" / "b" / "net.bundle")
    assert [path.name for path in (tmp_path / "a" / "b").iterdir()] == ["net.bundle"]
    (tmp_path / "empty").mkdir()
    bundle.save(tmp_path / "empty")


def test_a_failed_save_keeps_the_old_bundle(bundle, saved):
    with pytest.raises(BundleError, match=r"cannot write the bundle .*net\.bundle"):
        folder.write(saved, bundle.manifest, {"graphs": b"a file", "graphs/whole.onnx": b"where a folder should be"})
    assert Bundle.load(saved).digest == bundle.digest
    assert [path.name for path in saved.parent.iterdir()] == ["net.bundle"]


def test_a_bundle_can_be_moved(saved, tmp_path):
    shutil.move(saved, tmp_path / "elsewhere")
    Bundle.load(tmp_path / "elsewhere")


def test_the_manifest_reads_what_it_wrote(bundle):
    assert Manifest.from_bytes(bundle.manifest.to_bytes()) == bundle.manifest


def test_a_point_of_another_width_is_refused_by_name(bundle):
    with pytest.raises(
        BundleError,
        match=r"no split point 'stem' at width 0\.5 in fp32; it has it at width 1 in fp32\. Build it with",
    ):
        bundle.resolve(OperatingPoint("stem", width=0.5))
