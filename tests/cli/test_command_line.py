"""The command line: what it prints, and what it says when something is wrong."""

from __future__ import annotations

import io
import itertools
import json
import re
import subprocess
import sys
import warnings

import av
import numpy as np
import pytest
from PIL import Image
from rich.console import Console
from typer.testing import CliRunner

import adaedge
from adaedge import cli
from adaedge.bundle import engines
from adaedge.cli.doctor import examined
from adaedge.cli.live import Totals, view
from adaedge.cli.measure import _profile_table
from adaedge.engine import available, load_engine
from adaedge.errors import BundleError, LevelError, ModelError
from adaedge.operating_point import Cost, OperatingPoint, Profile
from adaedge.payload.latent import loops
from adaedge.runtime import Credentials, EdgeServer, read_records

COMMANDS = (
    "inspect",
    "estimate",
    "build",
    "profile",
    "serve",
    "run",
    "simulate",
    "divide",
    "substitute",
    "benchmark",
    "report",
)
COMMANDS += ("doctor", "demo")
MODEL = "timm:resnet10t"


def adaedge_command(*arguments):
    """The output of a command, as a program sees it; what is for people fits 80 columns, and nothing is cut off."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # random weights
        done = CliRunner().invoke(cli.app, [str(argument) for argument in arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    if "--json" not in arguments:
        assert [line for line in done.stdout.splitlines() if len(line) > 80 or "…" in line] == []
    return done.stdout


def failing_command(*arguments):
    """The words of a command that fails, in a process of its own."""
    done = subprocess.run([sys.executable, "-m", "adaedge", *map(str, arguments)], capture_output=True, text=True)
    assert done.returncode == 2, done.stdout
    assert "Traceback" not in done.stderr
    assert "error: " in done.stderr
    return done.stderr


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photographs")
    rng = np.random.default_rng(0)
    for index in range(4):
        Image.fromarray(rng.integers(0, 256, (200, 300, 3), dtype=np.uint8)).save(folder / f"{index}.png")
    return folder


@pytest.fixture(scope="module")
def bundle(tmp_path_factory, photographs):
    path = tmp_path_factory.mktemp("bundle") / "small.bundle"
    options = (
        "--splits",
        "layer2",
        "--widths",
        "1,0.5",
        "--precisions",
        "fp32",
        "--codecs",
        "raw,u4+zstd,jpeg@90,bottleneck",
    )
    options += ("--images", photographs, "--random-weights")
    found = json.loads(adaedge_command("build", MODEL, "-o", path, *options, "--json"))
    assert [entry.name for entry in path.parent.iterdir()] == [path.name], "what was kept for a restart is gone"
    assert found["digest"] == adaedge.Bundle.load(path).digest
    return path


@pytest.fixture(scope="module")
def profile(tmp_path_factory, bundle):
    path = tmp_path_factory.mktemp("profile") / "profile.json"
    adaedge_command("profile", bundle, "--repetitions", 3, "-o", path)
    return path


@pytest.fixture
def trace(tmp_path):
    path = tmp_path / "rate.csv"
    path.write_text("seconds,mbps\n0,20\n10,0.2\n20,20\n")
    return path


def test_the_version():
    assert adaedge_command("--version") == f"adaedge {adaedge.__version__}\n"


def test_help_names_every_command_and_each_shows_an_example():
    overview = adaedge_command("--help")
    for command in COMMANDS:
        assert command in overview
        assert "Example: adaedge" in adaedge_command(command, "--help").replace("`", "")


@pytest.mark.parametrize("command", [*COMMANDS, "token grant", "token revoke", "token list"])
def test_help_fits_80_columns_and_cuts_nothing_off(command):
    shown = CliRunner().invoke(cli.app, [*command.split(), "--help"], env={"COLUMNS": "80"}).stdout
    assert max(map(len, shown.splitlines())) <= 80
    assert [line for line in shown.splitlines() if "…" in line] == []


def test_inspect_prints_one_document_with_the_split_points():
    found = json.loads(adaedge_command("inspect", MODEL, "--json"))
    points = {point["name"]: point for point in found["split_points"]}
    assert found["split_points"][0]["name"] == "input"
    assert found["split_points"][-1]["name"] == "output"
    assert points["input"]["payload_bytes"] == 3 * 176 * 176 * 4
    assert points["layer2"]["head_macs"] + points["layer2"]["tail_macs"] == found["macs"]


def test_inspect_tells_what_incremental_inference_holds():
    found = json.loads(adaedge_command("inspect", MODEL, "--incremental", "--json"))["incremental"]
    assert 0 < found["cache_bytes"] <= 2 * found["peak_bytes"]
    assert 0 < found["partial_macs"] <= found["macs"]


def test_inspect_shows_modules_and_with_operators_what_is_between():
    assert "layer2" in adaedge_command("inspect", MODEL)
    assert ":" not in adaedge_command("inspect", MODEL).split("\n", 3)[3]
    assert len(adaedge_command("inspect", MODEL, "--operators")) > len(adaedge_command("inspect", MODEL))


def test_build_says_what_each_point_sends_and_how_good_it_is(bundle):
    entries = {str(entry.point): entry for entry in adaedge.Bundle.load(bundle).manifest.points}
    assert "output/w1/fp32/raw" in entries
    assert entries["input/w1/fp32/jpeg@90"].payload_bytes > 1000
    assert entries["layer2/w0.5/fp32/raw"].accuracy.samples == 4
    assert entries["layer2/w0.5/fp32/raw"].payload_bytes < 0.6 * entries["layer2/w1/fp32/raw"].payload_bytes


def test_build_fits_a_bottleneck_with_all_its_rates(bundle, profile):
    points = [point for point in adaedge.Bundle.load(bundle).points if point.codec.startswith("bottleneck@")]
    assert {(point.split, point.width) for point in points} == {("layer2", 1.0), ("layer2", 0.5)}
    assert len(points) == 20
    assert {*points} <= {*Profile.load(profile)}


def test_a_bottleneck_without_images_is_an_error(tmp_path):
    options = ("--splits", "layer2", "--codecs", "u4,bottleneck", "--random-weights")
    said = failing_command("build", MODEL, "-o", tmp_path / "none.bundle", *options)
    assert "the codec bottleneck is fitted on samples of the input, and there are none" in said
    assert "--images FOLDER" in said
    assert not (tmp_path / "none.bundle").exists()


def test_simulate_replays_a_trace_by_every_policy(profile, trace):
    found = {}
    for policy in ("adaptive", "local", "static", "clairvoyant", "layer2/w1/fp32/u4+zstd"):
        options = ("--trace", trace, "--policy", policy, "--frames", 50, "--json")
        found[policy] = json.loads(adaedge_command("simulate", profile, *options))
    assert found["local"]["bytes_per_frame"] == 0
    assert found["layer2/w1/fp32/u4+zstd"]["bytes_per_frame"] > 0
    assert found["static"]["energy_j_per_frame"] <= found["local"]["energy_j_per_frame"] * (1 + 1e-9)


MINE = """
from dataclasses import replace
from adaedge.energy import RASPBERRY_PI_4, WIFI_2012
from adaedge.scheduling import Choice
board = replace(RASPBERRY_PI_4, busy_w=2 * RASPBERRY_PI_4.busy_w)
modem = replace(WIFI_2012, uplink_w=2 * WIFI_2012.uplink_w)

def most_bytes(table, predictions, previous):
    return Choice(int(table.payload_bytes.argmax()), "most bytes")
"""


def test_simulate_says_from_which_rate_offloading_pays(profile, trace):
    options = ("--trace", trace, "--frames", 20)
    assert re.search(r"Offloading (pays|cannot pay) here", adaedge_command("simulate", profile, *options))
    assert "ffloading" not in adaedge_command("simulate", profile, *options, "--policy", "local")


def test_simulate_takes_a_processor_a_radio_and_a_policy_of_the_users_own(profile, trace, tmp_path, monkeypatch):
    (tmp_path / "adaedge_own.py").write_text(MINE)
    monkeypatch.syspath_prepend(tmp_path)

    def simulated(*options):
        told = adaedge_command("simulate", profile, "--trace", trace, "--frames", 20, "--json", *options)
        return json.loads(told)

    preset = simulated("--policy", "local", "--compute", "raspberry-pi-4")["energy_j_per_frame"]
    own = simulated("--policy", "local", "--compute", "adaedge_own:board")["energy_j_per_frame"]
    assert own == pytest.approx(2 * preset)
    offload = ("--policy", "adaedge_own:most_bytes", "--radio")
    adaedge_command("simulate", profile, "--trace", trace, "--frames", 20, *offload, "wifi-2012")  # no name is cut
    wifi, modem = simulated(*offload, "wifi-2012"), simulated(*offload, "adaedge_own:modem")
    assert wifi["bytes_per_frame"] > 0
    assert modem["energy_j_per_frame"] > wifi["energy_j_per_frame"]


@pytest.mark.parametrize("radio", ["nr-drx", "nr-drx-fast-release", "nr-low-band"])
def test_simulate_tells_what_the_oracle_would_have_saved_under_a_radio(profile, trace, radio):
    options = ("--trace", trace, "--frames", 50, "--radio", radio, "--json")
    adaptive = json.loads(adaedge_command("simulate", profile, *options))
    oracle = json.loads(adaedge_command("simulate", profile, *options, "--policy", "clairvoyant"))
    assert adaptive["radio"] == radio
    parts = ("energy_j_per_frame", "base_station_j_per_frame", "edge_server_j_per_frame")
    assert adaptive["global_j_per_frame"] == pytest.approx(sum(adaptive[part] for part in parts))
    assert adaptive["miss_fraction"] == adaptive["deadline_miss_fraction"]
    assert oracle["regret"] == 0
    told = adaptive["energy_j_per_frame"] / oracle["energy_j_per_frame"] - 1
    assert adaptive["regret"] == pytest.approx(told)


def test_estimate_says_what_pays_from_a_profile_a_bundle_and_a_name(profile, bundle, tmp_path):
    for model in (profile, bundle, MODEL):
        picture = tmp_path / "window.svg"
        options = ("--compute", "raspberry-pi-4", "--radio", "nr-drx", "--rate", 10, "--plot", picture, "--json")
        found = json.loads(adaedge_command("estimate", model, *options))
        assert {"local_j", "full_j", "partial_j", "best", "window"} <= set(found)
        joules = {mode: found[f"{mode}_j"] for mode in ("local", "full", "partial")}
        assert found["best"] == min(joules, key=joules.get)
        assert found["window"]["local_j"] == found["local_j"]
        assert "svg" in picture.read_text()
    light = adaedge_command("estimate", MODEL, "--compute", "phone-npu", "--rate", 1)
    assert "Stay local: it takes" in light
    assert "Assumed: a JPEG takes 2 bits a pixel" in " ".join(light.split())
    own = json.loads(adaedge_command("estimate", MODEL, "--compute", "4", "--macs-per-s", "1e9", "--rate", 1, "--json"))
    assert own["local_j"] == pytest.approx(4 * 0.55, rel=0.5)
    assert "macs_per_s is not known" in failing_command("estimate", MODEL, "--compute", "4", "--rate", 1)
    said = failing_command("estimate", profile, "--rate", 1, "--plot", tmp_path / "window.txt")
    assert "a picture is .svg, .png or .pdf" in said


def test_simulate_prices_a_video_codec_by_what_a_clip_changes(tmp_path, trace):
    film, found = tmp_path / "still.mp4", tmp_path / "video.json"
    with av.open(str(film), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        still = av.VideoFrame.from_ndarray(np.full((64, 64, 3), 90, np.uint8), format="rgb24")
        for packet in [*itertools.chain(*(stream.encode(still) for _ in range(10))), *stream.encode()]:
            container.mux(packet)
    video = OperatingPoint("input", codec="h264@28")
    costs = {OperatingPoint("output"): Cost(0.1), video: Cost(0.0, payload_bytes=3000.0, finish_s=0.1)}
    Profile(costs, "", "hand", "hand", (0.0, 1.0), {video: (Cost(0.0, payload_bytes=60.0, finish_s=0.1),)}).save(found)
    options = ("--trace", trace, "--policy", str(video), "--frames", 20, "--json")
    assert json.loads(adaedge_command("simulate", found, *options))["bytes_per_frame"] == 3000
    told = json.loads(adaedge_command("simulate", found, *options, "--clip", film))
    assert told["clip"] == str(film)
    assert told["bytes_per_frame"] == pytest.approx((3000 + 19 * 60) / 20, abs=9)
    words = failing_command("simulate", found, "--trace", trace, "--clip", tmp_path / "none.mp4")
    assert "there is no file" in words


def test_simulate_and_report_meet_in_a_record(tmp_path, profile, trace):
    record, page = tmp_path / "run.jsonl", tmp_path / "report.html"
    adaedge_command("simulate", profile, "--trace", trace, "--frames", 20, "--record", record)
    assert len(record.read_text().splitlines()) == 20
    adaedge_command("report", record, "-o", page)
    assert "<svg" in page.read_text()
    found = json.loads(adaedge_command("report", record, "-o", page, "--profile", profile, "--json"))
    assert "Worth choosing" in page.read_text()
    assert set(found["frontier"]["never_worth_choosing"]) == {"in_run", "at_any_rate"}
    assert {row["point"] for row in found["frontier"]["points"]} == {str(point) for point in Profile.load(profile)}


def test_a_level_that_is_not_faster_is_labelled_and_not_chosen(tmp_path, profile, trace):
    document = json.loads(profile.read_text())
    local = next(row for row in document["points"] if row["split"] == "output")
    document["points"].append(local | {"precision": "int8", "head_s": 2 * local["head_s"]})
    slow = tmp_path / "slow.json"
    slow.write_text(json.dumps(document))
    found = json.loads(adaedge_command("simulate", slow, "--trace", trace, "--frames", 5, "--json"))
    assert found["frontier"]["labels"] == {"output/w1/int8/raw": "smaller, not faster"}
    words = failing_command("simulate", slow, "--trace", trace, "--policy", "output/w1/int8/raw")
    assert "output/w1/int8/raw is smaller, not faster" in words
    table = _profile_table(Profile.load(slow))
    assert list(table.columns[0].cells)[-1] == "local int8*"
    assert "* smaller, not faster" in table.caption


def test_an_unknown_model_is_one_line_with_the_nearest_names():
    assert "resnet18" in failing_command("inspect", "timm:resnet81")


def test_an_unknown_split_point_is_one_line_with_the_nearest_names(tmp_path):
    words = failing_command("build", MODEL, "-o", tmp_path / "b", "--splits", "layer22", "--random-weights")
    assert "no split point 'layer22'; nearest: layer2" in words


def test_build_takes_every_level(tmp_path, photographs):
    options = ("--splits", "layer2", "--widths", "1,0.5", "--precisions", "fp32,int8", "--codecs", "u8,u4")
    options += ("--images", photographs, "--random-weights", "--json")
    found = json.loads(adaedge_command("build", "timm:test_resnet", "-o", tmp_path / "b", *options))
    levels = {(point["width"], point["precision"]) for point in found["points"] if point["split"] == "layer2"}
    assert levels == {(1.0, "fp32"), (1.0, "int8"), (0.5, "fp32"), (0.5, "int8")}
    assert len(found["points"]) == 1 + 4 * 2 + 4, "input at one level; layer2 and output at four"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--precisions", "fp32,int8"), "Give about 300 as `calibrate` (`--images FOLDER`), or leave int8 out"),
        (("--precisions", "fp16"), "no precision 'fp16'; there are fp32 and int8"),
        (("--widths", "1,2"), "width is the fraction of channels kept, in (0, 1]; got 2.0"),
        (("--widths", "half"), "--widths takes fractions of channels, such as 1,0.5; got 'half'"),
        (("--widths", ","), "widths has none"),
    ],
)
def test_a_level_that_cannot_be_built_is_one_line(tmp_path, options, words):
    arguments = ("build", "timm:test_resnet", "-o", str(tmp_path / "b"), "--random-weights", *options)
    with pytest.raises(LevelError, match=re.escape(words)):
        CliRunner().invoke(cli.app, arguments, catch_exceptions=False)


def test_build_takes_a_student(tmp_path, photographs):
    options = ("--splits", "layer2,stages.1", "--widths", "1", "--precisions", "fp32", "--codecs", "u8", "--images")
    options += (photographs, "--random-weights", "--network", "student=timm:test_convnext", "--json")
    found = json.loads(adaedge_command("build", "timm:test_resnet", "-o", tmp_path / "b", *options))
    places = {(point["network"], point["split"]) for point in found["points"]}
    inner = {("full", "layer2"), ("student", "stages.1")}
    assert places == inner | {("full", "input"), ("full", "output"), ("student", "output")}


@pytest.mark.parametrize(
    ("network", "words"),
    [
        (("student",), "--network takes NAME=MODEL, each name once, such as student=timm:resnet10t; got 'student'"),
        (("s=timm:test_convnext", "s=timm:test_resnet"), "each name once, such as student=timm:resnet10t; got 's="),
        (("s=timm:test_byobnet",), "the network 's' wants pixels of mean (0.485, 0.456, 0.406) and standard"),
    ],
)
def test_a_network_that_cannot_be_is_one_line(tmp_path, network, words):
    options = [word for one in network for word in ("--network", one)]
    arguments = ("build", "timm:test_resnet", "-o", str(tmp_path / "b"), "--random-weights", *options)
    with pytest.raises(ModelError, match=re.escape(words)):
        CliRunner().invoke(cli.app, arguments, catch_exceptions=False)


def test_a_folder_that_is_not_a_bundle_is_never_overwritten(tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    assert "is not a bundle" in failing_command("build", MODEL, "-o", tmp_path, "--random-weights")
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


def test_model_arguments_that_are_no_json_say_so():
    assert "--model-args takes a JSON object" in failing_command("inspect", MODEL, "--model-args", "num_classes=3")


def test_a_preset_that_does_not_exist_names_those_that_do(profile, trace):
    options = ("--trace", trace, "--radio", "lte-1999")
    assert "there are: nr-drx" in failing_command("simulate", profile, *options)


def test_watts_of_ones_own_take_the_place_of_a_preset(profile, trace):
    joules = []
    for watts in ("2", "4"):
        options = ("--trace", trace, "--policy", "local", "--compute", watts, "--json")
        joules.append(json.loads(adaedge_command("simulate", profile, *options))["energy_j_per_frame"])
    assert joules[1] == pytest.approx(2 * joules[0])
    words = failing_command("simulate", profile, "--trace", trace, "--compute", "much")
    assert "raspberry-pi-4, raspberry-pi-5, jetson-nano, jetson-orin, phone-npu, or give your own watts" in words
    assert "at least 0" in failing_command("simulate", profile, "--trace", trace, "--compute", "-1")


def test_a_policy_that_does_not_exist_names_those_that_do(profile, trace):
    words = failing_command("simulate", profile, "--trace", trace, "--policy", "best")
    assert "adaptive, local, static, clairvoyant" in words


def test_random_weights_are_said_to_be_random(tmp_path, bundle):
    assert not adaedge.Bundle.load(bundle).manifest.trained
    program = [sys.executable, "-m", "adaedge", "build", MODEL, "-o", str(tmp_path / "b"), "--splits", "layer2"]
    done = subprocess.run(program, capture_output=True, text=True, check=True)
    assert "warning: " in done.stderr
    assert "random" in done.stderr


def test_a_folder_that_is_missing_is_one_line(tmp_path, profile, trace):
    words = failing_command("simulate", profile, "--trace", trace, "--record", tmp_path / "missing" / "run.jsonl")
    assert "cannot read or write" in words
    assert "run.jsonl: No such file or directory" in words


def test_run_refuses_the_profile_of_another_bundle(tmp_path, bundle, profile, photographs):
    other = tmp_path / "other.json"
    other.write_text(profile.read_text().replace(adaedge.Bundle.load(bundle).digest, "ab" * 32))
    options = ("--source", photographs, "--edge", "127.0.0.1:1", "--profile", other)
    assert "is of bundle abababababab" in failing_command("run", bundle, *options, "--insecure")


@pytest.mark.skipif("openvino" not in available(), reason="needs the extra openvino")
def test_a_run_takes_the_engine_that_the_profile_was_measured_with(tmp_path, bundle, profile, photographs, monkeypatch):
    path, made = tmp_path / "openvino.json", []
    options = ("--engine", "openvino", "--repetitions", 1, "-o", path)
    adaedge_command("profile", bundle, *options)
    assert Profile.load(path).terminal_engine == "openvino"
    assert Profile.load(profile).terminal_engine in available()
    monkeypatch.setattr(engines, "load_engine", lambda name, *given: made.append(name) or load_engine(name, *given))
    options = ("--source", photographs, "--frames", 2, "--period", 0.01, "--record", tmp_path / "run.jsonl")
    adaedge_command("run", bundle, "--profile", path, *options)
    assert "openvino" in made
    made.clear()
    adaedge_command("run", bundle, "--profile", path, "--engine", "onnxruntime", *options)
    assert set(made) == {"onnxruntime"}


def test_an_engine_that_does_not_exist_is_refused(bundle, photographs):
    for options in (("profile", bundle), ("serve", bundle), ("run", bundle, "--source", photographs)):
        with pytest.raises(BundleError, match=r"^no engine 'onnx'; there are: onnxruntime, openvino$"):
            adaedge_command(*options, "--engine", "onnx")


def test_run_never_sends_a_token_in_plain_text(tmp_path, bundle, profile, photographs):
    (tmp_path / "token").write_text("secret")
    options = ("--source", photographs, "--edge", "127.0.0.1:1", "--profile", profile, "--token", tmp_path / "token")
    assert "--insecure sends everything in plain text" in failing_command("run", bundle, *options, "--insecure")


@pytest.mark.parametrize(
    ("signal", "words"),
    [
        ("5g", "no signal '5g': --signal takes file:PATH, command:'PROGRAM ARGUMENTS' or modem-manager"),
        ("command:", "no signal 'command:'"),
        ("command:modem 'lte", "the command of --signal cannot be read: No closing quotation"),
        ("file:{written}", "a signal is JSON with any of rsrp_dbm, rsrq_db, sinr_db, cqi; got"),
    ],
)
def test_run_refuses_a_signal_that_says_something_else(tmp_path, bundle, profile, photographs, signal, words):
    written = tmp_path / "signal.json"
    written.write_text("-95 dBm")
    options = ("--source", photographs, "--edge", "127.0.0.1:1", "--profile", profile, "--insecure")
    assert words in " ".join(
        failing_command("run", bundle, *options, "--signal", signal.format(written=written)).split()
    )


def test_a_run_that_fails_leaves_the_older_record_as_it_is(tmp_path, bundle, profile):
    record, noise = tmp_path / "keep.jsonl", tmp_path / "noise.mp4"
    record.write_text("an older record")
    noise.write_bytes(np.random.default_rng(0).bytes(5000))
    Credentials.stored(tmp_path / "edge")
    options = ("--source", noise, "--edge", "127.0.0.1:1", "--profile", profile, "--state", tmp_path / "edge")
    assert "does not decode" in failing_command("run", bundle, *options, "--record", record)
    assert record.read_text() == "an older record"


def test_names_are_shown_as_they_are(tmp_path):
    words = failing_command("report", tmp_path / "run[red]:dog:.jsonl")
    assert "run[red]:dog:.jsonl" in words.replace("\n", "")


def test_a_run_needs_neither_profile_nor_certificate_named(tmp_path, bundle, photographs):
    credentials = Credentials.stored(tmp_path / "edge")
    with EdgeServer(adaedge.Bundle.load(bundle), credentials=credentials) as server:
        options = ("--source", photographs, "--edge", server.address, "--state", tmp_path / "edge", "--period", 0.05)
        options += ("--signal", f"command:{sys.executable} -c 'print(1 and \"{{}}\")'")
        found = json.loads(adaedge_command("run", bundle, *options, "--record", tmp_path / "run.jsonl", "--json"))
    assert found["deadline_miss_fraction"] <= 1
    assert len((tmp_path / "run.jsonl").read_text().splitlines()) == 4


def test_a_run_without_an_edge_server_computes_every_frame_here(tmp_path, bundle, profile, photographs):
    options = ("--profile", profile, "--source", photographs, "--period", 0.01, "--record", tmp_path / "run.jsonl")
    found = json.loads(adaedge_command("run", bundle, *options, "--json"))
    assert found["answered_by"] == {"terminal": 4}
    assert {row["point"].split("/")[0] for row in found["points_used"]} == {"output"}
    said = adaedge_command("run", bundle, *options)
    assert "4 frames: 0 by the edge server, 4 here" in said
    assert "No --edge and no --link: every frame was computed here." in said


def test_a_run_over_a_simulated_link_is_answered_by_a_simulated_edge_server(tmp_path, bundle, profile, photographs):
    fast = tmp_path / "fast.csv"
    fast.write_text("seconds,mbps\n0,50\n1000,50\n")
    options = ("--link", fast, "--radio", "wifi-2012", "--compute", 4000, "--period", 0.05)
    options += ("--profile", profile, "--source", photographs, "--record", tmp_path / "run.jsonl")
    found = json.loads(adaedge_command("run", bundle, *options, "--json"))
    assert found["answered_by"]["edge"] >= 3
    assert found["bytes_per_frame"] > 0
    rates = [record.decision.rate_bps for record in read_records(tmp_path / "run.jsonl")]
    assert rates[-1] == pytest.approx(50e6, rel=0.3)
    words = adaedge_command("run", bundle, *options).replace("\n", "")  # a path may be folded anywhere
    assert re.search(rf"Over a simulated link, ?{re.escape(str(fast))}: ?offloading pays here from", words)


def test_the_live_view_shows_rate_point_joules_and_battery(tmp_path, bundle, profile, photographs, capsys):
    options = ("--profile", profile, "--source", photographs, "--period", 0.01, "--record", tmp_path / "run.jsonl")
    adaedge_command("run", bundle, *options, "--live", "--battery", 0.001)
    totals = Totals(battery_wh=0.001)
    for record in read_records(tmp_path / "run.jsonl"):
        totals.add(record)
    console = Console(width=80, file=io.StringIO())
    console.print(view(record, totals))
    shown = console.file.getvalue()
    for words in ("chosen point", "output/w", "link rate", "J in all, modelled", "% of 0.001 Wh", "4 frames: 0 by the"):
        assert words in shown
    assert totals.left == pytest.approx(1 - totals.energy_j / 3.6)
    assert max(map(len, shown.splitlines())) <= 80


def test_tables_fit_80_columns_and_cut_nothing_off(monkeypatch):
    long = OperatingPoint("features.12.conv.3", 0.75, "int8", "bottleneck@9", network="student")
    console = Console(width=80, file=io.StringIO())
    console.print(_profile_table(Profile({long: Cost(0.1234)}, "", "a processor " * 9, "edge")))
    shown = console.file.getvalue()
    assert "…" not in shown
    for word in ("features.12.conv.3", "student", "bottleneck@9", "123.40"):
        assert word in shown
    assert max(map(len, shown.splitlines())) <= 80


def test_without_a_floor_the_spread_of_accuracies_is_said(tmp_path, trace):
    poor = {OperatingPoint("output"): Cost(0.1, accuracy=0.98), OperatingPoint("output", 0.5): Cost(0.05, accuracy=0.6)}
    Profile(poor, "", "hand", "hand").save(tmp_path / "poor.json")
    done = CliRunner().invoke(
        cli.app, ["simulate", str(tmp_path / "poor.json"), "--trace", str(trace), "--frames", "3"]
    )
    assert "no --accuracy-floor: the cheapest point is taken however accurate it is" in done.stderr
    assert "0.600 to 0.980" in done.stderr.replace("\n", " ")
    options = ("--trace", str(trace), "--frames", "3", "--accuracy-floor", "0.9")
    assert (
        "no --accuracy-floor"
        not in CliRunner().invoke(cli.app, ["simulate", str(tmp_path / "poor.json"), *options]).stderr
    )


def test_doctor_says_what_a_machine_has_and_lacks(tmp_path, monkeypatch):
    found = json.loads(adaedge_command("doctor", "--json"))
    assert found["packages"]["onnxruntime"] in found["engines"]["onnxruntime"]
    assert found["extras"]["prepare"] == "installed"
    assert {"machine", "compiled_loops", "image_encoders", "video_codecs", "devices", "advice"} <= set(found)
    assert max(map(len, adaedge_command("doctor").splitlines())) <= 80
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/cpuinfo").write_text("Features : fp asimd asimddp\n")
    battery = tmp_path / "sys/class/power_supply/BAT0"
    battery.mkdir(parents=True)
    (battery / "type").write_text("Battery\n")
    board = examined(tmp_path)
    assert board["machine"]["instruction_sets"] == ["asimd", "asimddp"]
    assert board["devices"]["batteries"] == ["BAT0"]
    assert not [line for line in board["advice"] if "int8 dot products" in line]
    assert [line for line in board["advice"] if "No power meter" in line]
    monkeypatch.setattr(loops, "compiled", None)
    assert [line for line in examined(tmp_path)["advice"] if "Loops in C were not built (bottleneck)" in line]


def test_completion_can_be_shown():
    assert "--show-completion" in adaedge_command("--help")


def test_build_measures_a_video_codec_on_clips(tmp_path, films):
    out = tmp_path / "b"
    options = ("--random-weights", "--splits", "", "--widths", "1", "--precisions", "fp32", "--codecs", "h264@28")
    clips = [word for film in films for word in ("--clips", film)]
    found = json.loads(adaedge_command("build", "timm:test_resnet", "-o", out, *options, *clips, "--json"))
    (video,) = (row for row in found["points"] if row["codec"] == "h264@28")
    assert 0 < video["next_bytes"][0] < video["payload_bytes"]
    assert video["accuracy"]["samples"] == 16
    profile = tmp_path / "profile.json"
    adaedge_command("profile", out, "-o", profile, "--repetitions", "2", "--images", films[0])
    loaded = Profile.load(profile)
    point = OperatingPoint("input", codec="h264@28")
    assert loaded.at(point, 0.0).payload_bytes == video["next_bytes"][0]


@pytest.fixture
def films(tmp_path):
    """Two short videos."""
    values = np.random.default_rng(0)
    paths = [tmp_path / f"{name}.mp4" for name in "ab"]
    for path in paths:
        with av.open(str(path), "w") as container:
            stream = container.add_stream("libx264", 25, options={"crf": "20"})
            stream.height, stream.width, stream.pix_fmt = 120, 160, "yuv420p"
            ground = values.integers(60, 120, (120, 160, 3), dtype=np.uint8)
            for at in range(8):
                frame = ground.copy()
                frame[20:50, 4 * at : 4 * at + 30] = 220
                container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, "rgb24")))
            container.mux(stream.encode())
    return paths
