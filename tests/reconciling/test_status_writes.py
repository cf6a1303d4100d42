"""The status is true, and soon, whatever else fails; and it is not written more often than it has to be."""

from datetime import timedelta

import pytest

from pslgs_operator import names
from pslgs_operator.kube_client import ConflictError, RejectedError, RetryableError
from reconciling.test_reconciling import CLIENTS, KEY, SERVER, TRAINING, Stage, manifest

BUSY = RetryableError("429 TooManyRequests: slow down", retry_after=timedelta(seconds=20), affects_all=True)


@pytest.fixture
def stage():
    return Stage()


@pytest.fixture
async def training(stage):
    """A job whose server trains, and whose status says so."""
    stage.cluster.apply_job(manifest())
    await stage.settle()
    stage.run_server()
    stage.cluster.reports["10.0.0.1"] = TRAINING
    await stage.settle()
    return stage


def fail(monkeypatch, cluster, method, error, *, when=lambda *_: True, after=False, times=10**9):
    """Let a method of the cluster raise an error, before or after it takes effect."""
    original, left = getattr(cluster, method), [times]

    async def failing(*arguments, **keywords):
        is_meant = left[0] > 0 and when(*arguments)
        left[0] -= is_meant
        answer = await original(*arguments, **keywords) if after or not is_meant else None
        if is_meant:
            raise error
        return answer

    monkeypatch.setattr(cluster, method, failing)


class TestWhileWritesOfChildrenFail:
    @pytest.mark.parametrize("error", [RetryableError("500 InternalError: no"), BUSY], ids=["500", "429"])
    async def test_the_status_is_there(self, stage, monkeypatch, error):
        fail(monkeypatch, stage.cluster, "apply", error)
        stage.cluster.apply_job(manifest())
        await stage.look()
        assert stage.condition("Accepted") == ("True", "Accepted")
        await stage.look(5)
        await stage.look(5)
        assert stage.condition("Degraded") == ("True", "WriteFailed")
        message = next(each["message"] for each in stage.status["conditions"] if each["type"] == "Degraded")
        assert str(error) in message

    async def test_one_child_hides_no_other(self, stage, monkeypatch):
        broken = names.client_name("digits", "edge-0-0")
        error = RetryableError("500 InternalError: no")
        fail(monkeypatch, stage.cluster, "create", error, when=lambda it: it["metadata"]["name"] == broken)
        stage.cluster.apply_job(manifest())
        await stage.look()
        assert set(stage.cluster.of("Job")) == {SERVER, *CLIENTS} - {broken}

    async def test_a_single_failure_is_mended_before_it_is_news(self, stage, monkeypatch):
        fail(monkeypatch, stage.cluster, "apply", RetryableError("500 InternalError: no"), times=1)
        stage.cluster.apply_job(manifest())
        while set(stage.cluster.of("Job")) != {SERVER, *CLIENTS}:
            await stage.look((await stage.look()).total_seconds())
        await stage.settle()
        assert "Degraded" not in stage.story

    async def test_the_api_server_is_not_asked_before_the_time_that_it_names(self, stage, monkeypatch):
        fail(monkeypatch, stage.cluster, "apply", BUSY, times=1)
        stage.cluster.apply_job(manifest())
        await stage.settle()
        assert stage.condition("Degraded") == ("True", "WriteFailed")
        again = await stage.look(10)
        assert not stage.cluster.of("Job")
        assert again <= timedelta(seconds=10)
        await stage.look(again.total_seconds())
        await stage.settle()
        assert set(stage.cluster.of("Job")) == {SERVER, *CLIENTS}
        assert stage.condition("Degraded")[0] == "False"

    async def test_a_mistake_of_ours_hides_no_status(self, stage, monkeypatch):
        fail(monkeypatch, stage.cluster, "apply", RuntimeError("a mistake"))
        stage.cluster.apply_job(manifest())
        with pytest.raises(RuntimeError):
            await stage.look()
        assert stage.condition("Accepted") == ("True", "Accepted")
        assert stage.story == ["Accepted"]


class TestWhileTheWriteOfTheStatusFails:
    async def test_a_lost_answer_loses_no_event(self, stage, monkeypatch):
        with monkeypatch.context() as context:
            fail(context, stage.cluster, "write_status", RetryableError("reset"), after=True)
            stage.cluster.apply_job(manifest())
            with pytest.raises(RetryableError):
                await stage.look()
        await stage.settle()
        assert stage.story == ["Accepted", "Started"]

    async def test_one_that_had_no_effect_causes_no_event_twice(self, stage, monkeypatch):
        with monkeypatch.context() as context:
            fail(context, stage.cluster, "write_status", RetryableError("reset"))
            stage.cluster.apply_job(manifest())
            for _ in range(3):
                with pytest.raises(RetryableError):
                    await stage.look(1)
        await stage.settle()
        assert stage.story == ["Accepted", "Started"]

    async def test_a_job_that_was_changed_meanwhile_is_read_again(self, training):
        training.cluster.apply_job(manifest(suspend=True))
        training.cluster.reports["10.0.0.1"] = None
        training.now += timedelta(seconds=60)
        with pytest.raises(ConflictError):
            await training.look(watches_tell=False)
        assert training.cluster.of("Job")
        await training.look(watches_tell=False)
        assert not training.cluster.of("Job")

    async def test_another_operator_that_writes_at_the_same_time_is_no_storm(self, training):
        reads = training.cluster.calls["read SplitTrainingJob"]
        stored = training.cluster.of("SplitTrainingJob")[KEY.name]
        training.cluster.keep({**stored, "status": {**stored["status"], "clients": {"live": 7}}})
        training.now += timedelta(seconds=60)
        with pytest.raises(ConflictError):
            await training.look(watches_tell=False)
        await training.settle()
        assert training.status["clients"]["live"] == 2
        assert training.cluster.calls["read SplitTrainingJob"] == reads + 1

    async def test_a_status_that_the_schema_refuses_stops_no_training(self, stage, monkeypatch, caplog):
        fail(monkeypatch, stage.cluster, "write_status", RejectedError("Invalid", "status.phase"))
        stage.cluster.apply_job(manifest())
        await stage.look()
        assert set(stage.cluster.of("Job")) == {SERVER, *CLIENTS}
        assert "is the CRD as new as the operator?" in caplog.text

    async def test_a_job_that_is_gone_though_no_watch_said_so_is_forgotten(self, training):
        training.cluster.remove("SplitTrainingJob", KEY.name)
        training.now += timedelta(seconds=60)
        await training.look(watches_tell=False)
        assert not training.cluster.of("Job")
        assert await training.look(watches_tell=False) is None


class TestHowOftenItIsWritten:
    async def minute(self, stage, seconds=60):
        before = stage.cluster.calls["write status"]
        for second in range(0, seconds, 5):
            report = stage.cluster.reports["10.0.0.1"]
            stage.cluster.reports["10.0.0.1"] = report and type(report)(
                **{
                    **{name: getattr(report, name) for name in report.__slots__},
                    "step": report.step + 1 + second,
                }
            )
            await stage.look(5)
        return stage.cluster.calls["write status"] - before

    async def test_figures_at_most_every_thirty_seconds(self, training):
        assert await self.minute(training, 600) == 20

    async def test_the_next_look_comes_when_figures_are_due(self, training):
        training.cluster.reports["10.0.0.1"] = None
        assert await training.look(1) <= timedelta(seconds=30)

    async def test_a_change_of_a_condition_at_once(self, training):
        await training.look(1)
        lost = {"live": ("edge-0-0",), "lost": ("edge-1-0",)}
        report = {name: getattr(TRAINING, name) for name in TRAINING.__slots__}
        training.cluster.reports["10.0.0.1"] = type(TRAINING)(**{**report, **lost, "step": 9})
        await training.look(5)
        assert training.status["clients"]["live"] == 1
        assert training.status["training"]["step"] == 9

    async def test_the_job_is_not_read_for_it(self, training):
        before = training.cluster.calls["read SplitTrainingJob"]
        await self.minute(training)
        assert training.cluster.calls["read SplitTrainingJob"] == before

    async def test_a_heartbeat_tells_that_the_operator_is_there(self, training):
        before = training.status["lastHeartbeatTime"]
        for _ in range(7):
            await training.look(5)
        assert training.status["lastHeartbeatTime"] > before

    async def test_a_job_without_a_running_server_has_none(self, stage):
        stage.cluster.apply_job(manifest())
        await stage.settle()
        await stage.look(600)  # by then its status says that there are no pods
        await stage.settle()
        before = stage.cluster.writes
        for _ in range(20):
            await stage.look(30)
        assert stage.cluster.writes == before

    @pytest.mark.slow
    @pytest.mark.parametrize("unknown", ["clients", "lastHeartbeatTime", "training"])
    async def test_an_older_definition_that_drops_a_field_makes_no_difference(
        self, training, monkeypatch, caplog, unknown
    ):
        write = training.cluster.write_status

        async def pruning(body, status):
            return await write(body, {name: value for name, value in status.items() if name != unknown})

        monkeypatch.setattr(training.cluster, "write_status", pruning)
        await training.settle()
        assert await self.minute(training, 600) == 20
        assert caplog.text.count(f"does not keep all of status.{unknown}; apply the definition") == 1

    async def test_an_operator_that_starts_anew_keeps_the_pace(self, training):
        training.restarted()
        before = training.cluster.calls["write status"]
        await training.look(5)
        assert training.cluster.calls["write status"] == before
