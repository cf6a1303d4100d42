"""Prints a plan on a terminal: three tables, recommendation and advice."""

from collections.abc import Iterable

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from pslgs.costs.folding_table import FoldingTable, print_within
from pslgs.costs.quantities import bandwidth, bytes_of, flops, seconds, shape, short, whole_percent
from pslgs.costs.result import CutFigures, Plan
from pslgs.model_inputs import InputShape, NamedShapes
from pslgs.sampling.schedule_statistics import EpochStatistics

_OWN = "green"  # style of the rows with the job's own strategy and cut


def rendered(plan: Plan) -> RenderableType:
    """Return a plan for a terminal."""
    return Group(
        Text(_headline(plan), style="bold"),
        *(Padding(Text(line), (0, 0, 0, 2)) for line in _circumstances(plan)),
        Text(),
        _strategies(plan),
        _crossing(plan),
        _burden(plan),
        *_conclusions(plan),
    )


def show(plan: Plan, console: Console) -> None:
    """Print a plan; see `print_within`."""
    print_within(console, rendered(plan))


def _headline(plan: Plan) -> str:
    classes = f" of {plan.classes} classes" if plan.classes else ""
    return (
        f"{plan.job}: {plan.epochs} epochs over {plan.samples:,} samples{classes} at {plan.clients:,} "
        f"clients, {plan.global_batch_size} a step"
    )


def _circumstances(plan: Plan) -> Iterable[str]:
    yield f"samples and classes: {plan.samples_from}"
    yield f"a sample is {_sample(plan.input_shape)} values, from {plan.input_shape_from}"
    if plan.disclosed:
        yield f"leaves its site as it is (mayLeaveSite): {', '.join(plan.disclosed)}"
    yield (
        f"a client's link: {bandwidth(plan.bandwidth)}, {seconds(plan.latency)} one way; "
        f"compression {plan.compression}"
    )
    server = f"each of the server's {plan.server_gpus} GPUs" if plan.server_gpus > 1 else "the server"
    speeds = {
        "a client": (plan.client_flops, plan.client_speed_measured),
        server: (plan.server_flops, plan.server_speed_measured),
    }
    for who, (rate, measured) in speeds.items():
        yield f"{who} computes {flops(rate)} ({'measured on this machine' if measured else 'given'})"


def _sample(found: InputShape) -> str:
    if isinstance(found, NamedShapes):
        return ", ".join(f"{each.name} {shape(each.shape)}" for each in found.inputs)
    return shape(found)


def _strategies(plan: Plan) -> FoldingTable:
    headings = (
        "steps",
        "batch\nmean",
        "active\nclients",
        "largest\nlocal",
        "deviation\nexpected",
        "\nat end",
        "\nbound",
        "\nbias",
        "steps\n< B/2",
    )
    table = FoldingTable(
        "An epoch under each strategy (at end: in the last fifth; bound: it holds at 99 %; bias: the part of "
        "the deviation that is no chance; < B/2: steps with less than half of the global batch)",
        "strategy",
        headings,
    )
    for each in plan.strategies:
        table.add_row(*_strategy_row(each), style=_OWN if each.strategy == plan.strategy else "")
    return table


def _strategy_row(figures: EpochStatistics) -> list[str]:
    deviations = (
        figures.deviation,
        figures.deviation_at_end,
        figures.deviation_bound,
        figures.bias,
    )
    return [
        figures.strategy,
        f"{figures.steps:,}",
        f"{figures.batch_size:.1f}",
        f"{figures.active_clients:.1f}",
        f"{figures.largest_local_batch:.1f}",
        *("–" if each is None else f"{each:.3f}" for each in deviations),
        whole_percent(figures.small_steps),
    ]


def _crossing(plan: Plan) -> FoldingTable:
    headings = ("smashed data", "a sample", "× input", "up\na step", "down\na step", "both\nan epoch")
    table = FoldingTable("What crosses the cut", "cut after", headings)
    for cut in plan.cuts:
        table.add_row(
            _layer(cut),
            _shapes(cut),
            bytes_of(cut.smashed_bytes),
            f"{cut.input_ratio:.2f}",
            bytes_of(cut.bytes_up),
            bytes_of(cut.bytes_down),
            bytes_of(cut.bytes_per_epoch),
            style=_OWN if cut.layer == plan.cut_layer else "",
        )
    return table


def _burden(plan: Plan) -> FoldingTable:
    headings = (
        "parameters\nclient",
        "\nserver",
        "FLOP\nclient",
        "\nserver",
        "memory\nclient",
        "\nserver",
        "a step\ntakes",
        "of it on\nthe wire",
    )
    table = FoldingTable(
        "What it asks of both sides (FLOP: the forward of one sample)", "cut after", headings
    )
    for cut in plan.cuts:
        table.add_row(
            _layer(cut),
            short(cut.client_parameters),
            short(cut.server_parameters),
            short(cut.client_flops),
            short(cut.server_flops),
            bytes_of(cut.client_bytes),
            bytes_of(cut.server_bytes),
            seconds(cut.step.total),
            whole_percent(cut.step.wire_share),
            style=_OWN if cut.layer == plan.cut_layer else "",
        )
    return table


def _conclusions(plan: Plan) -> Iterable[RenderableType]:
    yield Text(
        f"All epochs, cut as the job says: {seconds(plan.training_seconds)} and "
        f"{bytes_of(plan.training_bytes)} on the wire, evaluations aside."
    )
    times = (f"{name} {seconds(each)}" for name, each in plan.step_seconds_by_compression.items())
    yield Text(f"A step takes, by spec.transport.compression: {', '.join(times)}.")
    yield Text.assemble(("Recommendation: ", "bold"), plan.recommendation.reason)
    for advice in plan.advice:
        yield Padding(Text.assemble((advice.path, "yellow"), f": {advice.text}"), (0, 0, 0, 2))


def _layer(cut: CutFigures) -> str:
    return cut.layer or "(two parts)"


def _shapes(cut: CutFigures) -> str:
    shapes = [shape(each) for each in cut.smashed_shapes]
    return " + ".join(shapes) if len(shapes) < 3 else f"{len(shapes)} tensors"
