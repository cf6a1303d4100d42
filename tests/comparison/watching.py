"""A watcher that remembers."""

from pslgs.comparison.pool import Watcher


class Notes(Watcher):
    def __init__(self) -> None:
        self.cells: list[str] = []
        self.finished_before: list[str] = []
        self.computed: list[str] = []
        self.steps: dict[str, tuple[int, int]] = {}

    def begin(self, cells, finished):
        self.cells = [cell.name for cell in cells]
        self.finished_before = [cell.name for cell in finished]

    def show(self, cell, step, steps):
        self.steps[cell.name] = step, steps

    def finish(self, cell, seconds):
        assert seconds > 0
        self.computed.append(cell.name)
