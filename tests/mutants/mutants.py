"""Faults that the tests must find, as changes of one place in the code."""

from dataclasses import dataclass
from pathlib import PurePosixPath


@dataclass(frozen=True, slots=True)
class Mutant:
    """A fault.

    Attributes:
        module: The module below ``runtime/pslgs``.
        before: Text that occurs once in the module.
        after: What takes its place.
        tests: Folders or modules below ``tests`` of which some fast test must fail.  The simulation of faults
            is tried first for a mutant of `coordination`.
    """

    module: str
    before: str
    after: str
    tests: tuple[str, ...]

    @property
    def is_simulated(self) -> bool:
        """Whether the simulation of faults executes the module."""
        return PurePosixPath(self.module).parts[0] == "coordination"

    def __str__(self) -> str:
        return f"{self.module}: {_line(self.before)} -> {_line(self.after) or '(nothing)'}"


def _line(text: str) -> str:
    return " ".join(text.split())


def _coordination(module: str, before: str, after: str) -> Mutant:
    return Mutant(f"coordination/{module}.py", before, after, ("coordination",))


def _checkpoint(module: str, before: str, after: str) -> Mutant:
    return Mutant(
        f"{module}.py",
        before,
        after,
        ("checkpoint", "server/test_run_checkpoint.py", "server/test_unusable_numbers.py"),
    )


def _runner(module: str, before: str, after: str) -> Mutant:
    return Mutant(f"server/{module}.py", before, after, ("server",))


MUTANTS = (
    # The state of a checkpoint.
    _coordination(
        "epoch", "epoch.offsets, epoch.skipped = dict(state.offsets)", "epoch.offsets, epoch.skipped = {}"
    ),
    _coordination("epoch", "dict(state.skipped)", "{}"),
    _coordination("epoch", "epoch._last_number = state.draw\n", "epoch._last_number = 0\n"),
    _coordination("epoch", "epoch._taken_before = state.taken_before\n", "epoch._taken_before = 0\n"),
    _coordination("epoch", "taken=state.taken,", "taken=0,"),
    _coordination("epoch", "epoch._committed = state\n", "pass\n"),
    _coordination("epoch", "self._last_number += 1\n", "pass\n"),
    _coordination(
        "epoch",
        "if self._taken:\n            self._committed",
        "if not self._taken:\n            self._committed",
    ),
    _coordination(
        "progress", "self._evaluated = state.evaluated if state else False", "self._evaluated = False"
    ),
    _coordination("progress", "self.step = state.step if state else 0", "self.step = 0"),
    _coordination("coordinator", "now - (state.active_seconds if state else 0.0)", "now"),
    _coordination(
        "coordinator",
        "self._not_returned = set(self.membership.samples())",
        "self._not_returned = set[str]()",
    ),
    _coordination("quorum", "patience = max(patience, settings.return_seconds)", "pass"),
    # What a step uses.
    _coordination("epoch", "self._unplanned[client] -= size", "pass"),
    _coordination("epoch", "self.offsets[client] = self.offsets.get(client, 0) + size", "pass"),
    _coordination("epoch", "self.skipped[client] = self.skipped.get(client, 0) + size", "pass"),
    _coordination("epoch", "return max(0, samples - self.offsets.get(client, 0))", "return max(0, samples)"),
    _coordination("epoch", "+ self.skipped.get(client, 0)", ""),
    _coordination("membership", "self._members = dict(sorted(self._members.items()))", "pass"),
    _coordination("coordinator", "self.epoch.use_up(client, max(held, joined.samples))", "pass"),
    _coordination("progress", "self.epoch.offsets.get(client, 0),", "0,"),
    _coordination(
        "progress", "self._evaluated = False\n        self._response_times", "self._response_times"
    ),
    # Atomic steps.
    _coordination(
        "step_attempt", "if self.phase is Phase.UPDATE:\n            return []\n        needed", "needed"
    ),
    _coordination(
        "step_attempt", "return [] if self.phase is Phase.UPDATE else self._abandon", "return self._abandon"
    ),
    _coordination(
        "step_attempt",
        "client in (self.pending.expected if self.phase is Phase.BACKWARD else self._clients)",
        "client in self.pending.expected",
    ),
    _coordination(
        "step_attempt",
        "if self.pending.expected:\n            return []",
        "if len(self.pending.expected) > 1:\n            return []",
    ),
    _coordination(
        "step_attempt",
        "        self.done = True\n        return [AbandonAttempt",
        "        return [AbandonAttempt",
    ),
    _coordination(
        "coordinator",
        "if self.membership.session(left.client) == left.session:",
        "if True:",
    ),
    _coordination("coordinator", 'self._lose_client(client, "replaced", "it connected again", now)', "pass"),
    _coordination("coordinator", "self._add(EndSession(client, session, reason, EndCause.REPLACED))", "pass"),
    _coordination(
        "coordinator",
        "elif isinstance(operation, StepAttempt):\n            self.epoch.skip()",
        "elif operation is None:\n            self.epoch.skip()",
    ),
    # Time and quorum.
    _coordination("coordinator", "if delay > 0:", "if False:"),
    _coordination("coordinator", "self._operation.extend_time_outs(delay, now)", "pass"),
    _coordination(
        "replies",
        "if exchange != self.exchange or client not in self.expected:",
        "if client not in self.expected:",
    ),
    _coordination("replies", "if now - since > timeout]", "if False]"),
    _coordination("quorum", "if membership.live_count < settings.quorum:", "if membership.live_count < 1:"),
    _coordination(
        "quorum",
        "settings.on_lost is OnLostClient.WAIT and membership.lost_count",
        "membership.lost_count > len(membership)",
    ),
    _coordination("coordinator", "self._quorum.restart_wait(now)", "pass"),
    _coordination(
        "quorum", "return now - self._waiting_since > self._settings.quorum_timeout", "return False"
    ),
    # Evaluations.
    _coordination(
        "evaluation",
        "            del self._in_memory[client]\n            return [DropEvaluation",
        "            return [DropEvaluation",
    ),
    _coordination(
        "evaluation",
        "free = RANGES_AT_ONCE * self._range_size - sum(self._in_memory.values())",
        "free = RANGES_AT_ONCE * self._range_size",
    ),
    _coordination(
        "evaluation",
        "if self._turns or self._in_memory or self._concluding:",
        "if self._turns or self._concluding:",
    ),
    _coordination(
        "progress", "self._checkpointed_at = self.step\n        return Checkpointing", "return Checkpointing"
    ),
    # Checkpoints.
    _checkpoint("training/checkpoint", "if _checksum(folder / name) != checksums[name]:", "if False:"),
    _checkpoint(
        "training/checkpoint", "return sorted(self._stored(), reverse=True)", "return sorted(self._stored())"
    ),
    _checkpoint("training/checkpoint", "path = unfinished.rename(self._folder / name)", "path = unfinished"),
    _checkpoint(
        "training/checkpoint",
        "kept = sorted(newest.values())[-self._keep :]",
        "kept = sorted(newest.values())[: self._keep]",
    ),
    _checkpoint(
        "training/checkpoint",
        "revision = max(revisions) + 1 if revisions else 0",
        "revision = max(revisions) if revisions else 0",
    ),
    _checkpoint("server/run_checkpoint", '"coordinator": state.to_json(),', '"coordinator": {},'),
    _checkpoint("server/run_checkpoint", "if broken is not None:", "if False:"),
    # What carries the effects out.
    _runner("step_runner", "self._parameters = updated.parameters", "pass"),
    _runner(
        "step_runner",
        "if attempt and attempt.buffers.exchange == exchange\n            else None",
        "if attempt\n            else None",
    ),
    _runner("step_runner", "if attempt.abandoned:\n            return None\n        buffers", "buffers"),
    _runner(
        "step_runner",
        "            first += local_batch.samples\n\n    def _gradient_frames",
        "\n    def _gradient_frames",
    ),
    _runner("step_runner", "self._context.connections.interrupt(local_batch.session)", "pass"),
    _runner(
        "receive_buffers",
        "if self._complete_slices == len(self._slices):\n            raise",
        "if False:\n            raise",
    ),
    _runner(
        "receive_buffers",
        "if not self._labels_complete or (header.first, header.samples) != (first, samples):",
        "if (header.first, header.samples) != (first, samples):",
    ),
    _runner("evaluation_runner", "if name not in effect.missing}", "}"),
    _runner(
        "session_handler",
        "self._rejoin_backoff.record_loss(session.client_id, self._clock())",
        "pass",
    ),
    _runner("session_handler", "self._note_stall(session.client_id)  #", "pass  #"),
    _runner("session_handler", "self._connections.disconnect(session)", "pass"),
    _runner("client_faults", "if window and window.ignored.total() > IGNORED_LIMIT:", "if False:"),
)
