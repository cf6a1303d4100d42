import json
from dataclasses import fields
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pslgs.telemetry import journal as journal_module
from pslgs.telemetry.evaluation_details import ClassCurve, ClassEvaluation, EvaluationDetails
from pslgs.telemetry.journal import Journal, JournalError, read
from pslgs.telemetry.records import (
    AbortRecord,
    CheckpointRecord,
    ClientEvaluation,
    ClientRecord,
    EvaluationRecord,
    FinishRecord,
    Record,
    SkippedRecord,
    StepRecord,
    decode,
    encode,
    to_plain,
)

RECORDS = st.one_of(*(st.from_type(cls) for cls in get_args(Record)))


@given(RECORDS)
def test_decoding_an_encoded_record_restores_it(record):
    line = encode(record)

    assert b"\n" not in line
    assert type(decode(line)) is type(record)
    assert to_plain(decode(line)) == to_plain(record)


def test_a_line_is_strict_json_that_starts_with_the_kind(step):
    def refuse(constant):
        raise AssertionError(constant)

    line = encode(step(loss=float("nan"), deviation_bound=float("inf")))

    document = json.loads(line, parse_constant=refuse)
    assert list(document)[:2] == ["kind", "time"]
    assert document["kind"] == "step"
    assert document["loss"] == "nan"
    assert document["allocation"] == {"a": [0, 5], "b": [3, 3]}


def test_appended_records_can_be_read_at_once_and_in_order(tmp_path, step):
    path = tmp_path / "metrics.jsonl"
    evaluation = EvaluationRecord(
        2.0,
        1,
        1,
        10,
        0.1,
        0.99,
        {"a": ClientEvaluation(4, 0.1, None), "é": ClientEvaluation(6, 0.2, 1.0)},
        ("b",),
    )
    with Journal(path) as journal:
        journal.append(step())
        assert read(path) == [step()]
        journal.append(evaluation)
        assert read(path) == [step(), evaluation]


def test_a_reopened_journal_is_appended_to(tmp_path, step):
    path = tmp_path / "metrics.jsonl"
    for number in (1, 2):
        with Journal(path) as journal:
            journal.append(step(step=number))

    assert [record.step for record in read(path)] == [1, 2]


def test_an_incomplete_last_line_is_ignored_when_read_and_removed_when_opened(tmp_path, step):
    path = tmp_path / "metrics.jsonl"
    with Journal(path) as journal:
        journal.append(step(step=1))
        whole = path.stat().st_size
        journal.append(step(step=2))
    content = path.read_bytes()

    for length in range(whole, len(content)):
        path.write_bytes(content[:length])
        assert read(path) == [step(step=1)]
        with Journal(path) as journal:
            journal.append(step(step=3))
        assert read(path) == [step(step=1), step(step=3)]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (b"{", "line 2"),
        (b"[]", "not a record"),
        (b'{"kind":"weather"}', "its kind must be one of step, evaluation"),
        (b'{"kind":["step"]}', "its kind must be one of"),
        (
            b'{"kind":"finish","time":1,"step":"many","outcome":"FINISHED","message":""}',
            "step: Input should be",
        ),
        (b'{"kind":"finish","time":1}', "step: Field required"),
        (b"\xff\xfe", "line 2"),
    ],
    ids=["torn", "list", "unknown kind", "kind of a wrong type", "wrong type", "missing field", "not text"],
)
def test_an_invalid_line_is_named_in_the_error(tmp_path, step, line, problem):
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(encode(step()) + b"\n" + line + b"\n")

    with pytest.raises(JournalError, match=r"metrics\.jsonl, line 2: .*") as error:
        read(path)

    assert problem in str(error.value)


def test_fields_of_a_newer_version_are_ignored():
    line = b'{"kind":"finish","time":1,"step":2,"outcome":"FINISHED","message":"","mood":"good"}'

    assert decode(line) == FinishRecord(1.0, 2, "FINISHED", "")


def test_an_evaluation_is_read_as_it_was_written():
    details = EvaluationDetails(
        (ClassEvaluation("é", 3, 0.5, None, 1.0, None, 0.25),),
        ((2, 1), (0, 3)),
        (ClassCurve("é", (0.0, 1.0), (0.0, 1.0), (1.0, 0.5)),),
    )
    clients = {"a": ClientEvaluation(5, 0.1, 0.9, {"AUROC": None, "Loss": 0.1})}
    record = EvaluationRecord(
        3.0, 1, 3, 5, 0.1, 0.9, clients, metric="AUROC", metrics={"AUROC": 0.5}, details=details
    )
    assert decode(encode(record)) == record


def test_an_evaluation_of_an_earlier_version_has_no_metrics():
    line = (
        b'{"kind":"evaluation","time":3,"epoch":1,"step":3,"samples":5,"loss":0.1,"accuracy":0.9,'
        b'"clients":{"a":{"samples":5,"loss":0.1,"accuracy":0.9}},"missing":[],"recalibrated":null}'
    )
    record = decode(line)
    assert record == EvaluationRecord(3.0, 1, 3, 5, 0.1, 0.9, {"a": ClientEvaluation(5, 0.1, 0.9)})
    assert record.value is None


KNOWN = [
    ClientRecord(0.0, 0, "a", "joined", "", 10),
    StepRecord(1.0, 1, 1, 1, 0.5, 8, None, None, None, 0.1, {"a": (0, 8)}, {}),
    AbortRecord(1.0, 1, 2, 1, "client a was lost"),
    StepRecord(2.0, 1, 2, 2, 0.4, 8, None, None, None, 0.1, {"a": (8, 8)}, {}),
]
NOTED = [
    ClientRecord(2.0, 2, "b", "lost", "no answer"),
    CheckpointRecord(2.0, 2, 0.1),
    FinishRecord(2.5, 2, "INTERRUPTED", "stopped"),
    ClientRecord(2.7, 2, "b", "joined", "it returned"),
]
LATER = [
    StepRecord(3.0, 1, 3, 1, 0.3, 8, None, None, None, 0.1, {"a": (16, 8)}, {}),
    AbortRecord(3.0, 1, 4, 1, "stopped"),
    EvaluationRecord(3.0, 1, 3, 10, 0.1, 0.9),
    CheckpointRecord(4.0, 4, 0.1, "disk full"),
    FinishRecord(5.0, 4, "INTERRUPTED", "stopped"),
]


def write(path, *records: Record) -> int:
    """Write a journal, and return its size."""
    path.write_bytes(b"".join(encode(record) + b"\n" for record in records))
    return path.stat().st_size


@pytest.fixture
def path(tmp_path):
    return tmp_path / "metrics.jsonl"


@pytest.fixture(params=[True, False], ids=["size known", "size not known"])
def size(request, path):
    """Size of the journal at the checkpoint of step 2, or None."""
    return write(path, *KNOWN) if request.param else None


def test_resuming_removes_the_records_after_the_checkpoint(path, size):
    write(path, *KNOWN, *NOTED, *LATER)
    with Journal(path) as journal:
        told = journal.truncate_after(2, size)
        assert read(path) == [*KNOWN, *NOTED]
        assert [record for record in told if isinstance(record, CheckpointRecord)] == [NOTED[1]]
        journal.append(LATER[0])

    assert read(path) == [*KNOWN, *NOTED, LATER[0]]
    assert [file.name for file in path.parent.iterdir()] == ["metrics.jsonl"]


def test_an_attempt_aborted_by_a_stop_is_kept_if_the_checkpoint_includes_it(path):
    given_up = AbortRecord(2.1, 1, 3, 1, "stopped")
    size = write(path, *KNOWN, given_up)
    write(path, *KNOWN, given_up, NOTED[1])
    with Journal(path) as journal:
        journal.truncate_after(2, size)
    assert read(path) == [*KNOWN, given_up, NOTED[1]]


def test_truncating_twice_is_the_same_as_once(path, size):
    write(path, *KNOWN, *NOTED, *LATER)
    for _ in range(2):
        with Journal(path) as journal:
            journal.truncate_after(2, size)
    assert read(path) == [*KNOWN, *NOTED]


def test_without_a_checkpoint_only_records_of_clients_that_joined_are_kept(path):
    write(path, *KNOWN, *NOTED, *LATER)
    with Journal(path) as journal:
        assert journal.truncate_after(0, 0) == KNOWN[:1]
    assert read(path) == KNOWN[:1]


def test_an_evaluation_after_the_checkpoint_is_removed_and_one_before_it_is_kept(path, size):
    evaluation = EvaluationRecord(2.2, 1, 2, 10, 0.1, 0.9)
    write(path, *KNOWN, NOTED[1], evaluation, SKIPPED, LATER[0])
    with Journal(path) as journal:
        journal.truncate_after(2, size)
    assert read(path) == [*KNOWN, NOTED[1]]

    before = write(path, *KNOWN, evaluation)
    write(path, *KNOWN, evaluation, NOTED[1], LATER[0])
    with Journal(path) as journal:
        told = journal.truncate_after(2, size and before)
    assert read(path) == [*KNOWN, evaluation, NOTED[1]]
    assert size or evaluation in told


SKIPPED = SkippedRecord(9.0, 1, {"a": 3})


@pytest.mark.parametrize(
    ("after", "stays"),
    [
        ([StepRecord], True),
        ([CheckpointRecord], True),
        ([], False),
        ([ClientRecord], False),
    ],
    ids=["before a step", "before the checkpoint", "after the checkpoint", "before a client's loss"],
)
def test_skipped_samples_are_kept_if_the_checkpoint_includes_them(path, step, after, stays):
    followers = {
        StepRecord: step(step=2),
        CheckpointRecord: CheckpointRecord(9.0, 2, 0.1),
        ClientRecord: ClientRecord(9.0, 2, "b", "lost", ""),
    }
    write(path, step(step=1), SKIPPED, *(followers[kind] for kind in after), step(step=3))
    with Journal(path) as journal:
        journal.truncate_after(2)
    assert (SKIPPED in read(path)) is stays


DAMAGE = {
    "not a record": b"{}\n",
    "zeros": bytes(5000) + b"\n",
    "zeros in front of a record": bytes(5000) + encode(KNOWN[0]) + b"\n",
    "a later kind of record": b'{"kind":"weather","time":1.0,"step":2}\n',
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE.keys())
def test_damage_before_the_checkpoint_does_not_prevent_truncation(path, size, damage):
    rest = write(path, *KNOWN[:2])
    before = path.read_bytes() + damage + b"".join(encode(record) + b"\n" for record in KNOWN[2:])
    path.write_bytes(before + b"".join(encode(record) + b"\n" for record in LATER))
    with Journal(path) as journal:
        journal.truncate_after(2, size and len(before))
    assert path.read_bytes() == before
    assert rest < len(before)


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE.keys())
def test_damage_after_the_checkpoint_is_saved_to_a_file_with_a_warning(path, size, damage, caplog):
    write(path, *KNOWN, *NOTED)
    good = path.read_bytes()
    path.write_bytes(good + damage + encode(LATER[0]) + b"\n")
    with Journal(path) as journal:
        journal.truncate_after(2, size)
    assert path.read_bytes() == good
    assert (path.parent / "metrics.jsonl.damaged").read_bytes() == damage + encode(LATER[0]) + b"\n"
    assert f"damaged from byte {len(good)} on" in caplog.text


def test_a_journal_without_any_record_is_saved_to_a_file(path):
    path.write_bytes(bytes(100) + b"\n" + bytes(70_000) + b"\n")
    with Journal(path) as journal:
        assert journal.truncate_after(2, 50) == []
    assert path.read_bytes() == b""
    assert (path.parent / "metrics.jsonl.damaged").stat().st_size == 70_102


@pytest.mark.parametrize("size", [3, 10**9], ids=["within a line", "beyond the end"])
def test_a_size_that_does_not_match_the_journal_is_ignored_with_a_warning(path, size, caplog):
    write(path, *KNOWN, *NOTED, *LATER)
    with Journal(path) as journal:
        journal.truncate_after(2, size)
    assert read(path) == [*KNOWN, *NOTED]
    assert "does not match the checkpoint of step 2" in caplog.text


def test_lines_longer_than_a_block_are_read_backwards_too(path):
    long = ClientRecord(1.0, 1, "a", "lost", "x" * 3_000_000)
    write(path, KNOWN[1], long, long, *LATER)
    with Journal(path) as journal:
        journal.truncate_after(1)
    assert read(path) == [KNOWN[1], long, long]


def test_a_journal_has_the_size_of_its_file(path, step):
    with Journal(path) as journal:
        assert journal.size == 0
        journal.append(step())
        assert journal.size == path.stat().st_size > 0


@pytest.mark.slow
def test_only_the_end_of_a_long_journal_is_read(path, step, monkeypatch):
    size = write(path, *(step(step=number) for number in range(1, 20_001)))
    with path.open("ab") as file:
        file.write(encode(CheckpointRecord(2.0, 20_000, 0.1)) + b"\n")
        file.writelines(encode(step(step=number)) + b"\n" for number in range(20_001, 25_000))
    decoded = []
    monkeypatch.setattr(journal_module, "decode", lambda line: decoded.append(line) or decode(line))
    with Journal(path) as journal:
        journal.truncate_after(20_000, size)
    assert len(decoded) < 5
    assert path.stat().st_size > size


def test_every_record_has_a_kind_of_its_own_and_a_time():
    kinds = [cls.kind for cls in get_args(Record)]

    assert len(set(kinds)) == len(kinds)
    assert all(fields(cls)[0].name == "time" for cls in get_args(Record))
