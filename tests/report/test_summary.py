import pytest

from adaedge.energy import EnergySplit
from adaedge.errors import SourceError
from adaedge.report import Origin, summarize
from adaedge.report.summary import rates
from adaedge.report.table import comparison

KEYS = [
    "energy_j_per_frame",
    "latency_p50_s",
    "latency_p95_s",
    "deadline_miss_fraction",
    "bytes_per_frame",
    "agreement",
    "points_used",
    "switches",
    "earlier_answers",
    "score",
    "metric",
]


def test_a_run_worked_by_hand(make):
    records = [
        make.frame(0, latency_s=0.020),
        make.offloaded(1, latency_s=0.040),
        make.offloaded(2, latency_s=0.060, answer=9),
        make.frame(3, latency_s=0.180),
    ]
    summary = summarize(records, reference_answers=[1, 1, 1, 1])
    assert summary.frames == 4
    assert summary.energy_j_per_frame == pytest.approx((0.1 + 0.072 + 0.072 + 0.1) / 4)
    assert summary.latency_p50_s == pytest.approx(0.050)
    assert summary.latency_p95_s == pytest.approx(0.060 + 0.85 * 0.120)  # rank 0.95 · 3 = 2.85, linear between
    assert summary.deadline_miss_fraction == 0.25
    assert summary.bytes_per_frame == 6250
    assert summary.agreement == 0.75
    assert summary.switches == 2
    assert [(use.point, use.frames) for use in summary.points_used] == [(make.LOCAL, 2), (make.OFFLOAD, 2)]
    assert summary.energy.promote_j == pytest.approx(0.005)
    assert summary.energy.tail_j == pytest.approx(0.003)
    assert summary.failures == {}
    # errors of the predicted 20 ms: 0, 1/2, 2/3, 8/9; the uploads crossed at 10 Mbit/s where 8 were assumed.
    assert summary.latency_error == pytest.approx((1 / 2 + 2 / 3) / 2)
    assert summary.rate_error == pytest.approx(0.2)


def test_the_keys_of_summary_json_never_change(make):
    row = summarize([make.frame(0), make.offloaded(1)]).as_dict()
    assert list(row) == KEYS
    assert row["points_used"] == [
        {"point": "output/w1/fp32/raw", "frames": 1},
        {"point": "input/w1/fp32/jpeg@90", "frames": 1},
    ]
    assert row["agreement"] is None


def test_a_run_that_never_offloads_has_no_rate(make):
    summary = summarize([make.frame(index, rate_bps=5e6) for index in range(3)])
    assert summary.rate_error is None
    assert (summary.bytes_per_frame, summary.switches) == (0, 0)


def test_a_failed_offload_is_counted_and_says_nothing_of_the_rate(make):
    records = [
        make.offloaded(0, failure="timeout"),
        make.offloaded(1, failure="down"),
        make.offloaded(2, failure="down"),
    ]
    summary = summarize(records)
    assert list(summary.failures.items()) == [("down", 2), ("timeout", 1)]
    assert summary.rate_error is None


def test_a_probe_on_a_local_frame_is_no_upload_of_the_model(make):
    assert summarize([make.frame(0, rate_bps=1e6, upload_s=0.1, payload_bytes=500)]).rate_error is None


def test_answers_that_are_no_class_are_left_out_of_the_agreement(make):
    records = [make.frame(index, answer=answer) for index, answer in enumerate([1, None, 3])]
    assert summarize(records, [1, None, 4]).agreement == 0.5
    assert summarize(records, [None, None, None]).agreement is None


def test_frames_are_compared_by_their_number_not_their_place(make):
    assert summarize([make.frame(2, answer=7)], [0, 0, 7]).agreement == 1.0


def test_no_records_and_a_short_reference_are_refused(make):
    with pytest.raises(SourceError, match=r"no records of frames.*adaedge run"):
        summarize([])
    with pytest.raises(SourceError, match=r"reference answered 1 frames, the records go to frame 3"):
        summarize([make.frame(3)], [1])


def test_the_causes_add_up_to_the_total(make):
    summary = summarize([make.frame(0, energy=EnergySplit(1, 2, 3, 4, 5, 6)), make.frame(1, energy=EnergySplit())])
    assert summary.energy == EnergySplit(0.5, 1, 1.5, 2, 2.5, 3)
    assert summary.energy_j_per_frame == summary.energy.total_j == 10.5


def test_probes_are_no_part_of_the_rate_that_a_frame_found(make):
    (pair,) = {rates(make.offloaded(0, payload_bytes=12_500 + 8_448, probe_bytes=8_448))}
    assert pair == pytest.approx((8e6, 10e6))


def test_frames_whose_earlier_answer_stands_are_counted_and_told(make):
    records = [make.offloaded(0), make.offloaded(1, answered_by="earlier", payload_bytes=0), make.offloaded(2)]
    summary = summarize([*records, make.frame(3)])
    assert summary.earlier_answers == summary.as_dict()["earlier_answers"] == 1
    _, rows = comparison({"adaptive": summary}, Origin())
    assert rows[0][-1].endswith("nothing sent for 25 %: an earlier answer stands")
    _, rows = comparison({"local": summarize([make.frame()])}, Origin())
    assert "stands" not in rows[0][-1]
