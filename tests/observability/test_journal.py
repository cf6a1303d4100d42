import json
from dataclasses import fields
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pslgs.observability.encoding import decode, encode, plain
from pslgs.observability.journal import Journal, JournalError, read, up_to_checkpoint
from pslgs.observability.records import (
    AbortRecord,
    CheckpointRecord,
    ClientEvaluation,
    ClientRecord,
    EvaluationRecord,
    FinishRecord,
    Record,
    SkippedRecord,
    StepRecord,
)

RECORDS = st.one_of(*(st.from_type(cls) for cls in get_args(Record)))


@given(RECORDS)
def test_records_come_back_as_they_were(record):
    line = encode(record)

    assert b"\n" not in line
    assert type(decode(line)) is type(record)
    assert plain(decode(line)) == plain(record)


def test_a_line_is_strict_json_that_starts_with_the_kind(step):
    def refuse(constant):
        raise AssertionError(constant)

    line = encode(step(loss=float("nan"), deviation_bound=float("inf")))

    document = json.loads(line, parse_constant=refuse)
    assert list(document)[:2] == ["kind", "time"]
    assert document["kind"] == "step"
    assert document["loss"] == "nan"
    assert document["allocation"] == {"a": [0, 5], "b": [3, 3]}


def test_what_is_written_is_there_at_once_and_in_order(tmp_path, step):
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


def test_a_journal_that_is_opened_again_goes_on(tmp_path, step):
    path = tmp_path / "metrics.jsonl"
    for number in (1, 2):
        with Journal(path) as journal:
            journal.append(step(step=number))

    assert [record.step for record in read(path)] == [1, 2]


def test_every_torn_end_is_left_out_and_cut_off_before_writing_goes_on(tmp_path, step):
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
def test_a_wrong_line_is_named(tmp_path, step, line, problem):
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(encode(step()) + b"\n" + line + b"\n")

    with pytest.raises(JournalError, match=r"metrics\.jsonl, line 2: .*") as error:
        read(path)

    assert problem in str(error.value)


def test_fields_of_a_newer_version_are_left_out():
    line = b'{"kind":"finish","time":1,"step":2,"outcome":"FINISHED","message":"","mood":"good"}'

    assert decode(line) == FinishRecord(1.0, 2, "FINISHED", "")


def test_on_resume_what_happened_after_the_checkpoint_is_forgotten(tmp_path, step):
    path = tmp_path / "metrics.jsonl"
    known = [
        ClientRecord(0.0, 0, "a", "joined", "", 10),
        step(step=1),
        AbortRecord(1.0, 1, 2, 1, "client a was lost"),
        step(step=2, attempt=2),
        CheckpointRecord(2.0, 2, 0.1),
    ]
    later = [
        step(step=3),
        AbortRecord(3.0, 1, 4, 1, "stopped"),
        EvaluationRecord(3.0, 1, 3, 10, 0.1, 0.9),
        CheckpointRecord(4.0, 4, 0.1, "disk full"),
        FinishRecord(5.0, 4, "INTERRUPTED", "stopped"),
    ]
    with Journal(path) as journal:
        for record in (*known, *later):
            journal.append(record)
        journal.truncate_after(2)
        assert read(path) == known
        journal.append(step(step=3))

    assert read(path) == [*known, step(step=3)]
    assert [file.name for file in tmp_path.iterdir()] == ["metrics.jsonl"]


def test_a_client_lost_while_the_next_step_was_tried_stays(step):
    lost = ClientRecord(2.0, 1, "a", "lost", "no answer")

    assert up_to_checkpoint([step(step=1), lost, step(step=2)], 1) == [step(step=1), lost]


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
def test_skipped_samples_stay_if_the_checkpoint_knows_of_them(step, after, stays):
    followers = {
        StepRecord: step(step=2),
        CheckpointRecord: CheckpointRecord(9.0, 2, 0.1),
        ClientRecord: ClientRecord(9.0, 2, "b", "lost", ""),
    }
    records = [step(step=1), SKIPPED, *(followers[kind] for kind in after), step(step=3)]

    assert (SKIPPED in up_to_checkpoint(records, 2)) is stays


def test_a_journal_that_cannot_be_read_is_not_truncated(tmp_path, step):
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b"{}\n" + encode(step()) + b"\n")
    before = path.read_bytes()

    with Journal(path) as journal, pytest.raises(JournalError):
        journal.truncate_after(1)

    assert path.read_bytes() == before


def test_every_record_has_a_kind_of_its_own_and_a_time():
    kinds = [cls.kind for cls in get_args(Record)]

    assert len(set(kinds)) == len(kinds)
    assert all(fields(cls)[0].name == "time" for cls in get_args(Record))
