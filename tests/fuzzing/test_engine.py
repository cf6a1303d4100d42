"""The fuzzing engine finds what is planted in decoders, and calls nothing else a finding."""

import json
import random
import zlib
from collections.abc import Callable

import numpy as np
import pytest

from fuzzing import containers, mutators
from fuzzing.engine import Finding, Outcome, Target, bounded, damaged, decode, fuzz


class RefusedError(ValueError):
    """What the decoders below document."""


def found(
    broken: Callable[[bytes], object], seed: bytes, mutate: mutators.Mutator, inputs: int = 3000
) -> list[str]:
    target = Target(decode=broken, errors=(RefusedError,), seeds=[seed], mutate=mutate)
    return [each.problem.partition(" ")[0] for each in fuzz(target, inputs, seed=1).findings.values()]


def length_prefixed(data: bytes) -> bytes:
    if not data:
        raise RefusedError
    return data[1 : 1 + data[0]] + bytes([data[data[0]]])


def allocates(data: bytes) -> np.ndarray:
    return np.empty(int.from_bytes(data[:4], "little") << 16, np.uint8)


def endless(data: bytes) -> None:
    while data.startswith(b"\xff"):
        pass


def trusts_json(data: bytes) -> float:
    try:
        document = json.loads(data)
        return float(document["a"][0]["b"]) + len(document["c"])
    except (KeyError, IndexError, json.JSONDecodeError, UnicodeDecodeError) as error:
        raise RefusedError from error


def test_an_undocumented_error_is_found() -> None:
    assert found(length_prefixed, b"\3abc", mutators.mutate_bytes) == ["IndexError"]


def test_memory_that_an_input_only_claims_is_found() -> None:
    assert "MemoryError" in found(allocates, b"\4\0\0\0abcd", mutators.mutate_bytes, inputs=300)


def test_a_loop_without_end_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fuzzing.engine.CPU_SECONDS", 0.05)
    target = Target(decode=endless, seeds=[b"a"])
    with bounded():
        assert decode(target, b"b") is Outcome.ACCEPTED
        stuck = decode(target, b"\xff")
    assert isinstance(stuck, Finding)
    assert stuck.problem.startswith("EndlessError")


def test_a_change_of_types_and_depth_in_json_is_found() -> None:
    problems = found(trusts_json, b'{"a": [{"b": 1}], "c": "text"}', mutators.mutate_json, inputs=1000)
    assert {"TypeError", "ValueError", "RecursionError", "OverflowError"} <= set(problems)


def test_a_finding_is_shrunk_and_has_the_same_problem() -> None:
    target = Target(decode=length_prefixed, errors=(RefusedError,), seeds=[b"\3abc" + bytes(1000)])
    (finding,) = fuzz(target, 3000, seed=1).findings.values()
    assert len(finding.data) == 1
    with bounded():
        again = decode(target, finding.data)
    assert isinstance(again, Finding)
    assert again.problem == finding.problem


def test_a_decoder_that_refuses_a_valid_input_is_no_target() -> None:
    target = Target(decode=length_prefixed, errors=(RefusedError,), seeds=[b""])
    with pytest.raises(ValueError, match="a valid input is refused"):
        fuzz(target, 1, seed=0)


def test_the_same_seed_gives_the_same_inputs() -> None:
    target = Target(decode=json.loads, seeds=[b'{"a": [1, 2]}', b"[3]"], mutate=mutators.mutate_json)
    once, again, other = ([*damaged(target, 200, seed)] for seed in (7, 7, 8))
    assert once == again != other


@pytest.mark.parametrize(
    ("container", "mutate", "content"),
    [
        pytest.param(
            containers.files({"a": b"one", "b": b"two"}),
            containers.mutate_files,
            containers.parts_of,
            id="zip",
        ),
        pytest.param(
            containers.safetensors({"header": b'{"a": 1}', "values": b"12"}),
            containers.mutate_safetensors,
            containers.safetensors_parts,
            id="safetensors",
        ),
    ],
)
def test_damage_within_a_container_leaves_it_sealed(
    container: bytes, mutate: mutators.Mutator, content: Callable[[bytes], dict[str, bytes]]
) -> None:
    rng = random.Random(0)
    changed = [mutate(rng, container, container) for _ in range(200)]
    readable = []
    for each in changed:
        try:
            readable.append(content(each))
        except ValueError:
            continue
    assert len(readable) > 180
    assert len({str(each) for each in readable}) > 50


def test_chunks_of_a_damaged_png_have_right_checksums() -> None:
    whole = containers.png({"000 IHDR": bytes(13), "001 IDAT": b"abc", "002 IEND": b""})
    damaged_one = containers.mutate_png(random.Random(3), whole, whole)
    for name, chunk in containers.png_chunks(damaged_one).items():
        body = name.partition(" ")[2].encode("latin-1") + chunk
        assert zlib.crc32(body).to_bytes(4, "big") in damaged_one


def test_a_message_of_protobuf_is_taken_apart_and_put_together() -> None:
    message = b"\x0a\x03abc\x10\xac\x02\x1d1234\x21" + b"8" * 8
    rng = random.Random(0)
    changed = {mutators.mutate_protobuf(rng, message, message) for _ in range(500)}
    assert len(changed) > 200
    assert mutators.encoded_fields(mutators.fields_of(message)) == message
