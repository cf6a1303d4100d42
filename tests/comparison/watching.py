"""A watcher that remembers."""

from pslgs.comparison.pool import Watcher


class Notes(Watcher):
    def __init__(self) -> None:
        self.trials: list[str] = []
        self.finished_before: list[str] = []
        self.computed: list[str] = []
        self.steps: dict[str, tuple[int, int]] = {}

    def begin(self, trials, finished):
        self.trials = [trial.name for trial in trials]
        self.finished_before = [trial.name for trial in finished]

    def show(self, trial, step, steps):
        self.steps[trial.name] = step, steps

    def finish(self, trial, seconds):
        assert seconds > 0
        self.computed.append(trial.name)
