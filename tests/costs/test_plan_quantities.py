"""Links, memory and speeds are read as people write them, and written back short."""

import pytest

from pslgs.costs import quantities
from pslgs.spec import InputError


@pytest.mark.parametrize(
    ("read", "text", "value"),
    [
        (quantities.parse_bandwidth, "100Mbps", 1e8),
        (quantities.parse_bandwidth, "2.5 Gbit/s", 2.5e9),
        (quantities.parse_bandwidth, "9600bps", 9600),
        (quantities.parse_latency, "20ms", 0.02),
        (quantities.parse_latency, "0s", 0),
        (quantities.parse_latency, "300us", 3e-4),
        (quantities.parse_memory, "2GiB", 2 << 30),
        (quantities.parse_memory, "512Mi", 512 << 20),
        (quantities.parse_memory, "1.5GB", 1_500_000_000),
        (quantities.parse_sizes, "1000, 2000", (1000, 2000)),
        (lambda text: quantities.parse_speed(text, "--client-flops"), "50G", 5e10),
        (lambda text: quantities.parse_speed(text, "--client-flops"), "1.5TFLOP/s", 1.5e12),
        (lambda text: quantities.parse_speed(text, "--client-flops"), "1e9", 1e9),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_quantities_are_read_with_their_units(read, text, value) -> None:
    assert read(text) == pytest.approx(value)


@pytest.mark.parametrize(
    ("read", "text", "option"),
    [
        (quantities.parse_bandwidth, "100", "--bandwidth"),
        (quantities.parse_bandwidth, "100MB", "--bandwidth"),
        (quantities.parse_bandwidth, "0Mbps", "--bandwidth"),
        (quantities.parse_latency, "20", "--latency"),
        (quantities.parse_latency, "-20ms", "--latency"),
        (quantities.parse_memory, "2Gbps", "--client-memory"),
        (quantities.parse_memory, "0GiB", "--client-memory"),
        (quantities.parse_sizes, "1000,", "--dataset-sizes"),
        (quantities.parse_sizes, "1e3", "--dataset-sizes"),
        (lambda text: quantities.parse_speed(text, "--server-flops"), "fast", "--server-flops"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_no_quantity_is_refused_with_its_option(read, text, option) -> None:
    with pytest.raises(InputError) as refused:
        read(text)
    (violation,) = refused.value.violations
    assert violation.path == option
    assert violation.problem.startswith(f"is '{text}', must be ")


@pytest.mark.parametrize(
    ("written", "text"),
    [
        (quantities.bytes_of(512), "512 B"),
        (quantities.bytes_of(33_554_432), "33.6 MB"),
        (quantities.bytes_of(999_950), "1 MB"),
        (quantities.bandwidth(1e8), "100 Mbit/s"),
        (quantities.flops(35.24e9), "35.2 GFLOP/s"),
        (quantities.operations(256), "256 FLOP"),
        (quantities.operations(2_560_000), "2.56 MFLOP"),
        (quantities.short(1.2345e4), "12.3 k"),
        (quantities.seconds(0), "0 s"),
        (quantities.seconds(85e-6), "85 µs"),
        (quantities.seconds(0.0871), "87.1 ms"),
        (quantities.seconds(1.314), "1.31 s"),
        (quantities.seconds(187), "3 min 07 s"),
        (quantities.seconds(7500), "2 h 05 min"),
        (quantities.seconds(362_880), "4.2 days"),
        (quantities.whole_percent(0.424), "42 %"),
        (quantities.shape((64, 32, 32)), "64×32×32"),
    ],
    ids=lambda text: text,
)
def test_amounts_are_written_short(written, text) -> None:
    assert written == text
