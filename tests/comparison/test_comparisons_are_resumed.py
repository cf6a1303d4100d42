import copy
import json
import shutil
from concurrent.futures import Future

import pytest

from comparison.watching import Notes
from pslgs import InputError, compare
from pslgs.comparison.pool import ComparisonError, TrialPool, TrialRunner, run_trials
from pslgs.comparison.store import TrialStore, fingerprint
from pslgs.comparison.trial import ComparisonOptions, trials_of
from pslgs.simulation.setup import SimulationOptions
from pslgs.spec.errors import Violation
from simulation.jobs import document, job

TWO = ("Global", "FixedLocal")


def look(folder, watcher=None, changed=None, **arguments):
    settings = {"strategies": TWO, "seeds": 2, "schedule_only": True, "folder": folder} | arguments
    return compare(changed or job(), **settings, watcher=watcher or Notes())


def contents(folder):
    files = (path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != "timing.json")
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@pytest.mark.slow
def test_what_is_finished_is_not_computed_again(tmp_path):
    look(tmp_path, seeds=1)
    notes = Notes()
    look(tmp_path, notes)
    assert notes.finished_before == ["Global-seed-3", "FixedLocal-seed-3"]
    assert notes.computed == ["Global-seed-4", "FixedLocal-seed-4"]


@pytest.mark.slow
def test_it_does_not_show_that_a_comparison_was_interrupted(tmp_path):
    look(tmp_path / "resumed", strategies=["FixedLocal"], seeds=1)
    look(tmp_path / "resumed")
    look(tmp_path / "at-once")
    assert contents(tmp_path / "resumed") == contents(tmp_path / "at-once")


@pytest.mark.slow
@pytest.mark.parametrize(
    "changed",
    [
        {"changed": job(sampling={"globalBatchSize": 32})},
        {"profile": "lan"},
        {"clients": 5},
        {"partition": "iid"},
        {"recalibration_batches": 2},
    ],
    ids=["batch size", "links", "clients", "partition", "recalibration"],
)
def test_the_folder_of_another_comparison_is_left_alone(tmp_path, changed):
    look(tmp_path)
    before = contents(tmp_path)
    with pytest.raises(InputError, match=r"holds another comparison .*; name another folder, or remove that"):
        look(tmp_path, **changed)
    assert contents(tmp_path) == before


@pytest.mark.slow
@pytest.mark.parametrize("torn", ["", "{", "[]", "{}"], ids=repr)
def test_a_damaged_cell_is_computed_again(tmp_path, torn):
    look(tmp_path)
    before = contents(tmp_path)
    (tmp_path / "cells/Global-seed-3.json").write_text(torn)
    notes = Notes()
    look(tmp_path, notes)
    assert notes.computed == ["Global-seed-3"]
    assert contents(tmp_path) == before


def test_the_folder_of_a_run_is_left_alone(tmp_path):
    (tmp_path / "metrics.jsonl").touch()
    with pytest.raises(InputError, match="holds a run; name another folder"):
        look(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["metrics.jsonl"]


@pytest.mark.slow
def test_every_step_is_told_and_how_many_there_are(tmp_path):
    notes = Notes()
    look(tmp_path, notes, strategies=["Global"], seeds=1)
    assert notes.steps == {"Global-seed-3": (46, 46)}


@pytest.mark.slow
def test_measured_times_are_kept_apart(tmp_path):
    comparison = look(tmp_path)
    assert json.loads((tmp_path / "timing.json").read_text()) == comparison.measured_seconds
    assert sorted(comparison.measured_seconds) == sorted(each.trial.name for each in comparison.outcomes)


@pytest.mark.slow
def test_the_same_training_twice_writes_the_same_files(trained, tmp_path):
    _, folder = trained
    compare(job(), strategies=TWO, seeds=2, partition="severe", folder=tmp_path)
    assert contents(tmp_path) == contents(folder)


@pytest.mark.slow
def test_processes_of_their_own_compute_the_same(trained, tmp_path):
    comparison, folder = trained
    notes = Notes()
    compare(job(), strategies=TWO, seeds=2, partition="severe", folder=tmp_path, jobs=2, watcher=notes)
    assert contents(tmp_path) == contents(folder)
    assert sorted(notes.computed) == sorted(notes.trials)
    assert notes.steps == {
        each.trial.name: (len(each.steps), len(each.steps)) for each in comparison.outcomes
    }


def unreadable():
    unread = document()
    unread["spec"]["data"]["train"] = {"format": "NumPy", "path": "nowhere.npz"}
    return job(data=unread["spec"]["data"])


@pytest.mark.slow
def test_what_is_wrong_with_the_data_is_told_from_other_processes(tmp_path):
    with pytest.raises(InputError, match=r"spec\.data\.train"):
        look(tmp_path, changed=unreadable(), jobs=2)


def test_a_comparison_that_fails_on_its_data_leaves_no_folder(tmp_path):
    with pytest.raises(InputError, match=r"spec\.data\.train"):
        look(tmp_path / "runs/compared", changed=unreadable())
    assert list(tmp_path.iterdir()) == []


def test_a_comparison_that_fails_leaves_a_folder_that_was_there(tmp_path):
    with pytest.raises(InputError, match=r"spec\.data\.train"):
        look(tmp_path, changed=unreadable())
    assert list(tmp_path.iterdir()) == []


class EndedPool(TrialPool):
    """Has computed a trial while another one failed."""

    at_a_time = 2

    def submit(self, runner, trial):
        future: Future = Future()
        if trial.strategy == "Global":
            future.set_exception(InputError.at("spec.data", "is lost"))
        else:
            future.set_result(runner.run(trial, lambda *_: None))
        return future

    def progress(self, _trial):
        return None

    def result(self, _trial, future):
        return future.result()


@pytest.mark.slow
def test_what_is_finished_is_kept_whatever_failed_beside_it(tmp_path):
    options = ComparisonOptions(TWO, [3], simulation=SimulationOptions(schedule_only=True, device="cpu"))
    store, trials = TrialStore(tmp_path, fingerprint(job(), options)), trials_of(options)
    with store.prepared(), pytest.raises(InputError, match="is lost"):
        run_trials(TrialRunner(job(), options), store, trials, EndedPool(), Notes())
    assert [store.load(trial) is not None for trial in trials] == [False, True]


def test_two_comparisons_at_a_time_do_not_share_a_folder(tmp_path):
    first, second = TrialStore(tmp_path / "compared", ""), TrialStore(tmp_path / "compared", "")
    with (
        first.prepared(),
        pytest.raises(InputError, match="another process compares in"),
        second.prepared(),
    ):
        pass
    with second.prepared():
        pass


def test_an_input_error_keeps_its_violations_between_processes():
    error = InputError(Violation("spec.a", "is wrong"), Violation("spec.b", "is missing"))
    again = copy.copy(error)  # as pickle does it
    assert (again.violations, str(again)) == (error.violations, str(error))


@pytest.mark.slow
def test_a_process_that_is_killed_is_told_and_ends_the_others(tmp_path):
    mortal = {"architecture": "comparison.mortal_builder:network", "inputShape": [64]}
    with pytest.raises(
        ComparisonError,
        match=r"^the process of (Global|FixedLocal)-seed-3 ended unexpectedly, .*; run the same",
    ):
        look(tmp_path, changed=job(model=mortal), jobs=2)
    shutil.rmtree(tmp_path)
