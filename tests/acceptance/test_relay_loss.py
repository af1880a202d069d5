"""What the relay answered 2xx reaches the app: whole, in order, at least once, whatever is killed meanwhile."""

from pathlib import Path

import pytest

from tests.acceptance.relay_loss import Plan, run


@pytest.mark.xdist_group("relay-loss")
def test_nothing_that_was_answered_is_lost_while_relay_and_client_are_killed_and_the_network_is_cut(
    tmp_path: Path,
) -> None:
    report = run(tmp_path, Plan(deliveries=5_000, relay_kills=10, client_kills=10, cuts=5))
    print(report.text)
    assert sum(report.answered.values()) == 5_000
    assert report.killed == {"relay": 10, "client": 10, "cut": 5}
    assert not report.lost
    assert not report.damaged
    assert not report.unstored
    assert not report.out_of_order
    assert not report.unmarked
    assert not report.renamed
