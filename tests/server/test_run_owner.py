"""A volume outlives a job: the next job of the name resumes its training, or begins its own."""

import pytest

from pslgs.server.run_owner import LOCK_FILE, OWNER_FILE, SET_ASIDE, claim_run_folder, only_server


@pytest.fixture
def run(tmp_path):
    """Return a run folder in which the job `first` has trained."""
    claim_run_folder(tmp_path, "first", start_afresh=False)
    (tmp_path / "checkpoints" / "step-10").mkdir(parents=True)
    (tmp_path / "metrics.jsonl").write_text("{}\n")
    return tmp_path


def names(folder) -> set[str]:
    return {entry.name for entry in folder.iterdir()}


@pytest.mark.parametrize("start_afresh", [False, True], ids=["resume", "afresh"])
def test_a_restart_of_the_same_job_always_resumes(run, start_afresh):
    before = names(run)
    assert claim_run_folder(run, "first", start_afresh=start_afresh) == ""
    assert names(run) == before


def test_another_job_resumes_and_is_told_so_once(run):
    assert "spec.checkpoint.startAfresh" in claim_run_folder(run, "second", start_afresh=False)
    assert "checkpoints" in names(run)
    assert claim_run_folder(run, "second", start_afresh=False) == ""


def test_another_job_that_starts_afresh_sets_the_training_aside(run):
    assert SET_ASIDE in claim_run_folder(run, "second", start_afresh=True)
    assert names(run) == {OWNER_FILE, SET_ASIDE}
    assert names(run / SET_ASIDE) == {"checkpoints", "metrics.jsonl"}
    (run / "checkpoints" / "step-3").mkdir(parents=True)
    assert claim_run_folder(run, "second", start_afresh=True) == ""
    assert names(run / "checkpoints") == {"step-3"}


def test_the_lock_of_the_server_stays_in_the_folder(run):
    with only_server(run):
        claim_run_folder(run, "second", start_afresh=True)
    assert names(run) == {LOCK_FILE, OWNER_FILE, SET_ASIDE}


def test_only_the_last_training_is_kept_aside(run):
    claim_run_folder(run, "second", start_afresh=True)
    (run / "checkpoints" / "step-3").mkdir(parents=True)
    claim_run_folder(run, "third", start_afresh=True)
    assert names(run / SET_ASIDE / "checkpoints") == {"step-3"}
    assert names(run / SET_ASIDE) == {"checkpoints"}


def test_a_crash_while_it_is_set_aside_loses_nothing(run):
    """The checkpoints are moved last, so the next start finds them and goes on."""

    (run / "metrics.jsonl").rename(run / "kept")
    partial = run / f"{SET_ASIDE}.partial"
    partial.mkdir()
    (run / "kept").rename(partial / "metrics.jsonl")
    claim_run_folder(run, "second", start_afresh=True)
    assert names(run / SET_ASIDE) == {"checkpoints", "metrics.jsonl"}


def test_outside_of_a_cluster_nothing_is_claimed(run):
    before = names(run)
    assert claim_run_folder(run, "", start_afresh=True) == ""
    assert names(run) == before


def test_a_crash_after_all_was_moved_does_not_stop_the_next_job(run):
    partial = run / f"{SET_ASIDE}.partial"
    partial.mkdir()
    for name in ("metrics.jsonl", "checkpoints"):
        (run / name).rename(partial / name)
    claim_run_folder(run, "second", start_afresh=True)
    (run / "checkpoints" / "step-3").mkdir(parents=True)
    claim_run_folder(run, "third", start_afresh=True)
    assert names(run) == {OWNER_FILE, SET_ASIDE}
    assert names(run / SET_ASIDE / "checkpoints") == {"step-3"}
