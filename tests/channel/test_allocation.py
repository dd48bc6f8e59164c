import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adaedge.channel import allocate
from adaedge.errors import CodecError

VARIANCES = st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=12)
SNRS = st.floats(0.01, 1e4)


def error(variances, powers, snr):
    return (np.asarray(variances) / (1 + 2 * snr * powers)).sum()


def test_a_hand_worked_allocation():
    assert allocate([4.0, 1.0, 0.01, 1.0], 1, 2.0).tolist() == [0.75, 0.25, 0.0, 0.0]
    # Both filled: √v/θ − 1 adds up to 2·snr·uses = 4, so θ = (3 + 1)/(4 + 2).
    assert allocate([[9.0, 1.0]], 2, 1.0) == pytest.approx(np.array([[1.75, 0.25]]))


@given(VARIANCES, st.integers(1, 6), SNRS)
def test_all_power_is_spent_on_at_most_two_values_a_symbol(variances, channel_uses, snr):
    powers = allocate(variances, channel_uses, snr)
    assert powers.sum() == pytest.approx(channel_uses)
    assert (powers >= 0).all()
    assert (powers > 0).sum() <= 2 * channel_uses
    chosen, others = np.asarray(variances)[powers > 0], np.asarray(variances)[powers == 0]
    assert not len(others) or chosen.min() >= others.max()


@given(VARIANCES, SNRS, st.integers(0, 2**32 - 1))
def test_no_other_allocation_of_the_same_power_leaves_less_error(variances, snr, seed):
    channel_uses = 6  # at least as many dimensions as values: only power is scarce
    powers = allocate(variances, channel_uses, snr)
    best = error(variances, powers, snr)
    rng = np.random.default_rng(seed)
    for other in (
        rng.dirichlet(np.ones(len(variances))) * channel_uses,
        0.9 * powers + 0.1 * channel_uses * rng.dirichlet(powers + 1e-3),
    ):
        assert error(variances, other, snr) >= best * (1 - 1e-9)


@pytest.mark.parametrize(
    ("variances", "channel_uses", "snr", "told"),
    [
        ([1.0], 0, 1.0, "got 0 uses"),
        ([1.0], 1, 0.0, r"SNR \(a ratio\) above 0"),
        ([1.0], 1, float("nan"), "SNR nan"),
        ([0.0, 0.0], 1, 1.0, "nothing to give power to"),
        ([-1.0, 2.0], 1, 1.0, "at least 0"),
    ],
)
def test_what_cannot_be_allocated_is_refused(variances, channel_uses, snr, told):
    with pytest.raises(CodecError, match=told):
        allocate(variances, channel_uses, snr)
