"""What was seen of a link, kept between runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from adaedge.channel import LinkPrior
from adaedge.errors import ScheduleError


def test_quantiles_within_half_an_octave() -> None:
    prior = LinkPrior()
    for rate_bps in (1e6,) * 9 + (64e6,):
        prior = prior.seen(rate_bps)
    for share, rate_bps in ((0.5, 1e6), (0.9, 1e6), (0.95, 64e6)):
        assert rate_bps / 2**0.5 <= prior.quantile(share) <= rate_bps * 2**0.5


def test_the_slowest_and_the_fastest_count() -> None:
    prior = LinkPrior().seen(0.0).seen(1e15)
    assert prior.count == 2


def test_old_rates_fade() -> None:
    prior = LinkPrior()
    for _ in range(1500):
        prior = prior.seen(1e6)
    assert prior.count == pytest.approx(1001, abs=2)


def test_kept_in_a_file(tmp_path: Path) -> None:
    path = tmp_path / "place.json"
    assert LinkPrior.load(path) == LinkPrior()
    prior = LinkPrior().seen(1e6).seen(3e7)
    prior.save(path)
    assert LinkPrior.load(path) == prior
    assert path.read_text(encoding="utf-8").startswith('{\n "format": "adaedge link prior 1"')


@pytest.mark.parametrize("text", ["", "{}", '{"format": "other", "counts": {}}', "[1]", '{"format": 1, "counts": 2}'])
def test_another_file_is_refused_by_name(tmp_path: Path, text: str) -> None:
    path = tmp_path / "place.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ScheduleError, match=r"place\.json is no prior of a link"):
        LinkPrior.load(path)


def test_counts_that_cannot_be() -> None:
    with pytest.raises(ScheduleError, match="48 finite counts"):
        LinkPrior((1.0,))
