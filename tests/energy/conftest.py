"""Round figures, so that every joule can be worked out by hand."""

import pytest

from adaedge.energy import ComputePower, EnergyModel, RadioPower


@pytest.fixture(scope="module")
def radio():
    return RadioPower(
        "hand",
        uplink_w_per_bps=2e-7,
        uplink_w=1.0,
        downlink_w_per_bps=1e-7,
        downlink_w=0.5,
        promotion_s=0.2,
        promotion_w=1.5,
        tail_s=10.0,
        tail_w=0.3,
    )


@pytest.fixture(scope="module")
def model(radio):
    return EnergyModel(ComputePower(busy_w=4.0, wait_w=0.1), radio)
