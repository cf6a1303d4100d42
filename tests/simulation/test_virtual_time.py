import pytest
from hypothesis import given
from hypothesis import strategies as st

from pslgs.costs.time_model import ClientTimeModel
from pslgs.costs.traffic import StepTraffic, task_traffic
from pslgs.sampling.registry import STRATEGIES
from pslgs.simulation.api import run_simulation, simulate
from pslgs.simulation.setup import Part, Simulation, SimulationOptions, assign, build_simulation_setup
from pslgs.spec.profiles import PROFILES, ClientProfile
from pslgs.telemetry.records import StepRecord
from simulation.jobs import job

TRAFFIC = StepTraffic(parameters=1_000, gradient=800, sample_up=408, sample_down=400, sample_raw=400)
SLOW = ClientProfile(samples_per_second=30.0, uplink=8_000.0, downlink=16_000.0, latency=0.5)


def test_a_step_is_made_of_transfers_and_computing():
    """By hand: one slice, so that nothing overlaps and all times add up."""
    forward = 2 * 0.5 + 8 * 1_000 / 16_000 + 10 / 30 / 3 + 8 * 10 * 408 / 8_000
    backward = 2 * 0.5 + 8 * 10 * 400 / 16_000 + 2 * 10 / 30 / 3 + 8 * 800 / 8_000
    time = ClientTimeModel({"slow": SLOW}, TRAFFIC).client("slow", 10)
    assert (time.until_smashed_data, time.until_gradient) == pytest.approx((forward, backward))


def test_computing_and_sending_overlap_slice_by_slice():
    large = StepTraffic(sample_up=1 << 20, sample_down=1 << 20, sample_raw=1 << 20)  # four samples a slice
    profile = ClientProfile(samples_per_second=1.0, uplink=8.0 * (1 << 20), downlink=1e9, latency=0.0)
    time = ClientTimeModel({"c": profile}, large).client("c", 40)
    assert time.until_smashed_data == pytest.approx(40 + 40 / 3 / 10)


@given(
    st.lists(st.integers(1, 50), min_size=2, max_size=5),
    st.lists(st.sampled_from(sorted(PROFILES)), min_size=5, max_size=5),
)
def test_a_step_waits_for_its_slowest_client_and_no_longer(sizes, kinds):
    batches = {f"c{i}": size for i, size in enumerate(sizes)}
    times = ClientTimeModel(
        {name: PROFILES[kind] for name, kind in zip(batches, kinds, strict=False)}, TRAFFIC
    )
    together = times.step_seconds(batches)
    alone = [times.step_seconds({name: size}) - times.server_seconds(size) for name, size in batches.items()]
    server = times.server_seconds(sum(sizes))
    assert max(alone) + server <= together + 1e-9
    assert together <= sum(alone) + server


def test_the_simulated_clock_advances_by_the_formula(tmp_path):
    varied, taken = job(), []
    mix = [Part(PROFILES["lan"], 1.0), Part(PROFILES["lte"], 1.0)]
    simulation = Simulation(varied, STRATEGIES["Global"], SimulationOptions(mix, schedule_only=True))
    run_simulation(simulation, lambda record, _: taken.append(record))
    cast = build_simulation_setup(varied.spec, None, tmp_path, evaluated=False)
    times = ClientTimeModel(
        assign(mix, list(cast.clients), varied.spec.sampling.seed),
        task_traffic(cast.task, cast.network.client_part, varied.spec.transport.compression),
    )
    steps = [record for record in taken if isinstance(record, StepRecord)]
    assert len(steps) == 46
    for step in steps:
        batches = {client: samples for client, (_, samples) in step.allocation.items()}
        assert step.modelled_seconds == pytest.approx(times.step_seconds(batches))


def test_nothing_is_modelled_without_profiles():
    taken = []
    simulate(job(epochs=1), schedule_only=True, watch=lambda record, _: taken.append(record))
    assert {record.modelled_seconds for record in taken if isinstance(record, StepRecord)} == {None}


def test_slower_links_take_longer_and_change_no_batch():
    results = [
        simulate(job(), profile=name, schedule_only=True).steps for name in ("lan", "lte", "satellite")
    ]
    seconds = [steps.modelled_seconds.sum() for steps in results]
    assert seconds[0] < seconds[1] < seconds[2]
    assert len({tuple(steps.deviation.tolist()) for steps in results}) == 1


def test_compression_shortens_steps_over_a_slow_link():
    plain, small = (
        simulate(job(transport={"compression": kind}), profile="satellite", schedule_only=True).steps
        for kind in ("None", "Int8")
    )
    assert small.bytes_up.sum() < plain.bytes_up.sum()
    assert small.modelled_seconds.sum() < plain.modelled_seconds.sum()


def test_latent_dirichlet_waits_less_for_slow_clients_the_more_it_heeds_delays():
    def seconds(weight: float) -> float:
        sampling = {"globalBatchSize": 64, "seed": 3, "latentDirichlet": {"delayWeight": weight}}
        steps = simulate(
            job(sampling=sampling, epochs=3),
            strategy="LatentDirichlet",
            clients=32,
            profile="lan:0.8,satellite:0.2",
            schedule_only=True,
        ).steps
        return float(steps.modelled_seconds.sum())

    times = [seconds(weight) for weight in (0.0, 1.0, 4.0)]
    assert times[1] < times[0]
    assert times[2] < 0.8 * times[0]
