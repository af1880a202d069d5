"""The numbers of a relay, in the text that Prometheus reads."""

import re

from webhookctl.relay.metrics import Histogram, Metrics

_LINE = re.compile(r'[a-z_]+(\{[a-z]+="[^"\\\n]*"\})? [0-9.e+-]+')


def filled() -> Metrics:
    metrics = Metrics()
    metrics.count_outcome("delivered", 0.004)
    metrics.count_outcome("queued", 12.0)
    metrics.count_outcome("queued", 99.0)
    metrics.count_refusal("rate")
    metrics.count_acknowledged(3)
    metrics.count_redelivered()
    metrics.count_bytes("in", 100)
    metrics.observe_commit(5)
    metrics.tunnels = 2
    metrics.subscribers = 1
    metrics.pending = lambda: 7
    return metrics


def values() -> dict[str, str]:
    lines = [line for line in filled().render().splitlines() if not line.startswith("#")]
    return dict(line.rsplit(" ", 1) for line in lines)


def test_every_line_is_one_that_prometheus_reads() -> None:
    text = filled().render()
    assert text.endswith("\n")
    for line in text.splitlines():
        assert line.startswith(("# HELP ", "# TYPE ")) or _LINE.fullmatch(line), line


def test_every_family_is_explained_and_typed_before_its_values() -> None:
    seen: set[str] = set()
    for line in filled().render().splitlines():
        if line.startswith("# TYPE "):
            seen.add(line.split()[2])
        elif not line.startswith("#"):
            name = re.sub(r"_(bucket|sum|count)$", "", re.split(r"[{ ]", line)[0])
            assert name in seen


def test_what_was_counted_is_shown() -> None:
    shown = values()
    assert shown['webhookctl_relay_deliveries_total{outcome="queued"}'] == "2"
    assert shown['webhookctl_relay_refused_total{reason="rate"}'] == "1"
    assert shown["webhookctl_relay_acknowledged_total"] == "3"
    assert shown["webhookctl_relay_redelivered_total"] == "1"
    assert shown['webhookctl_relay_body_bytes_total{direction="in"}'] == "100"
    assert shown["webhookctl_relay_pending"] == "7"
    assert shown["webhookctl_relay_tunnels"] == "2"
    assert shown["webhookctl_relay_subscribers"] == "1"
    assert shown["webhookctl_relay_answer_seconds_count"] == "3"
    assert shown['webhookctl_relay_answer_seconds_bucket{le="0.005"}'] == "1"
    assert shown['webhookctl_relay_answer_seconds_bucket{le="+Inf"}'] == "3"
    assert shown["webhookctl_relay_commit_deliveries_sum"] == "5"


def test_a_value_on_a_bound_belongs_below_it_and_buckets_only_grow() -> None:
    histogram = Histogram((1.0, 2.0))
    for value in (1.0, 1.5, 2.0, 3.0):
        histogram.observe(value)
    counts = [int(line.rsplit(" ", 1)[1]) for line in histogram.lines("x") if "bucket" in line]
    assert counts == [1, 3, 4]
