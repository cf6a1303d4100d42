"""Damage to inputs: bytes that know nothing of a format, and changes that keep the form of one."""

import json
import random
import re
from collections.abc import Callable, Sequence
from typing import Any

Mutator = Callable[[random.Random, bytes, bytes], bytes]
"""Returns a damaged copy of an input, with pieces of another one perhaps."""

LONGEST = 1 << 16
"""Maximum bytes of an input; mutations that repeat pieces would grow without end."""

INTEGERS = (
    *(0, 1, 2, 7, 8, 15, 16, 31, 32, 63, 64, 100, 127, 128, 255, 256, 1000, 1023, 1024, 4095, 4096),
    *(2**15 - 1, 2**15, 2**16 - 1, 2**16, 10**6, 2**24, 10**9, 2**31 - 1, 2**31, 2**32 - 1, 2**32),
    *(10**12, 2**53, 2**63 - 1, 2**63, 2**64 - 1),
)
"""Values at which lengths, counts and offsets go wrong."""


def mutate_bytes(rng: random.Random, data: bytes, other: bytes) -> bytes:  # noqa: PLR0911 - a table
    """Damage bytes whatever they mean."""
    at = rng.randrange(len(data) + 1)
    end = min(len(data), at + 1 + int(rng.expovariate(0.1)))
    match rng.randrange(9):
        case 0:
            flipped = bytes([data[at] ^ 1 << rng.randrange(8)]) if at < len(data) else b""
            return data[:at] + flipped + data[at + 1 :]
        case 1:
            return data[:at] + bytes([rng.randrange(256)]) + data[at + 1 :]
        case 2:
            width = rng.choice((1, 2, 4, 8))
            value = rng.choice((1, -1)) * rng.choice(INTEGERS) % (1 << 8 * width)
            written = value.to_bytes(width, rng.choice(("little", "big")))
            return data[:at] + written + data[at + width :]
        case 3:
            return data[:at]
        case 4:
            return data[:at] + data[end:]
        case 5:
            return data[:at] + rng.randbytes(rng.randint(1, 16)) + data[at:]
        case 6:
            times = rng.choice((1, 2, 10, 1000))
            return (data[:at] + data[at:end] * times + data[at:])[:LONGEST]
        case 7:
            return (data[:at] + other[rng.randrange(len(other) + 1) :])[:LONGEST]
        case _:
            start = rng.randrange(len(other) + 1)
            return (data[:at] + other[start : start + end - at] + data[end:])[:LONGEST]


def with_words(*words: bytes) -> Mutator:
    """Return a mutator that also puts words of a language into a text, in the place of some of its bytes."""

    def mutate(rng: random.Random, data: bytes, other: bytes) -> bytes:
        if rng.random() < 0.5:
            return mutate_bytes(rng, data, other)
        ends = [match.start() for match in re.finditer(rb"\b|\n|$", data)]
        at = rng.choice(ends)
        end = rng.choice([each for each in ends if at <= each <= at + 20])
        return data[:at] + rng.choice(words) + data[end:]

    return mutate


DEPTHS = (50, 1200, 30_000)
_DEEP, _LONG_INTEGER = '"@deep@"', '"@long@"'
VALUES: Sequence[Any] = (
    *(None, True, False, 0, -1, 1, 2, 0.5, -0.0, 1e308, 1e-320, float("nan"), float("inf"), float("-inf")),
    *(2**31, 2**32, 2**53 + 1, 2**63 - 1, 2**63, 2**64, -(2**63) - 1, 10**9, 10**12, 10**400),
    *(
        "",
        " ",
        "0",
        "-1",
        "1e3",
        "nan",
        "a" * 300,
        "\0",
        "\ud800",
        "\x1b[31m",
        "é\u202e",
        "../../etc/x",
        "a\nb",
    ),
    *("true", "null", "{}", "=", ",", "%", "0x_", "9" * 5000, "@deep@", "@long@"),
    *(
        "0001-01-01T00:00:00+23:59",
        "9999-12-31T23:59:59-23:59",
        "2026-01-02T03:00:00Z",
        "2026-02-30T25:61:00",
    ),
    *([], {}, [[]], [None], [{}], {"": None}, {"a": {"b": [1]}}),
)
"""Values of JSON at which a reader goes wrong; the marked ones are replaced in the text."""


def mutate_json(rng: random.Random, data: bytes, other: bytes) -> bytes:
    """Change values, types, keys and depth of a JSON document; damage its bytes if it is none."""
    try:
        document, donor = json.loads(data), json.loads(other)
    except (ValueError, RecursionError):
        return mutate_bytes(rng, data, other)
    changed = _changed(rng, document, donor)
    text = json.dumps(changed, ensure_ascii=rng.random() < 0.5)
    depth = rng.choice(DEPTHS)
    text = text.replace(_DEEP, "[" * depth + "]" * depth).replace(_LONG_INTEGER, "9" * 5000)
    if rng.random() < 0.05:
        text = _with_key_twice(rng, text)
    return text.encode(errors="surrogatepass" if rng.random() < 0.5 else "replace")[:LONGEST]


def _changed(rng: random.Random, document: Any, donor: Any) -> Any:
    """Return a copy of a document with one change, at a node chosen at random on the way down."""
    if isinstance(document, dict | list) and document and rng.random() < 0.85:
        return _changed_within(rng, document, donor)
    match rng.randrange(6):
        case 0:
            return rng.choice(_nodes(donor))
        case 1:
            return [document] * rng.choice((1, 1, 2, 1000))
        case 2:
            return {rng.choice(("", "a", "name", "0")): document}
        case 3:
            return json.dumps(document)
        case _:
            return rng.choice(VALUES)


def _changed_within(rng: random.Random, document: Any, donor: Any) -> Any:
    items = list(document.items()) if isinstance(document, dict) else list(enumerate(document))
    place = rng.randrange(len(items))
    key, value = items[place]
    match rng.randrange(12):
        case 0:
            del items[place]
        case 1 if isinstance(document, dict):
            items[place] = (rng.choice((f"{key}x", key.upper(), "", key[:-1], "\ud800", "a.b")), value)
        case 2:
            items.append((f"{key}-2", value))
        case 3:
            items[place] = (key, rng.choice(items)[1])
        case _:
            items[place] = (key, _changed(rng, value, donor))
    return dict(items) if isinstance(document, dict) else [value for _, value in items]


def _nodes(document: Any) -> list[Any]:
    inner = (
        document.values() if isinstance(document, dict) else document if isinstance(document, list) else ()
    )
    return [document, *(node for each in inner for node in _nodes(each))]


def _with_key_twice(rng: random.Random, text: str) -> str:
    pairs = re.findall(r'"[^"\\]*": (?:"[^"\\]*"|[-\w.]+)', text)
    starts = [match.end() for match in re.finditer(r"\{(?=\")", text)]
    if not pairs or not starts:
        return text
    at = rng.choice(starts)
    return f"{text[:at]}{rng.choice(pairs)}, {text[at:]}"


_LENGTH_DELIMITED = 2
_FIXED = {1: 8, 5: 4}


def mutate_protobuf(rng: random.Random, data: bytes, other: bytes) -> bytes:
    """Change, repeat, drop and exchange fields of a message in protobuf's wire format; lengths stay right."""
    if rng.random() < 0.3:
        return mutate_bytes(rng, data, other)
    fields, donors = fields_of(data), fields_of(other)
    if not fields:
        return mutate_bytes(rng, data, other)
    place = rng.randrange(len(fields))
    tag, content = fields[place]
    match rng.randrange(9):
        case 0:
            del fields[place]
        case 1:
            fields[place:place] = [fields[place]] * rng.choice((1, 2, 100))
        case 2 if donors:
            fields[place] = rng.choice(donors)
        case 3 if donors:
            fields.insert(place, rng.choice(donors))
        case 4:
            fields[place] = (rng.choice((tag ^ 1 << rng.randrange(7), rng.randrange(1, 512))), content)
        case 5 if isinstance(content, int):
            fields[place] = (tag, rng.choice(INTEGERS))
        case _ if isinstance(content, bytes):
            inner = mutate_protobuf if content and fields_of(content) else mutate_bytes
            fields[place] = (tag, inner(rng, content, other))
        case _:
            rng.shuffle(fields)
    return encoded_fields(fields)[:LONGEST]


def fields_of(message: bytes) -> list[tuple[int, int | bytes]]:
    """Return the tag and the content of each field of a message; none if it cannot be one."""
    fields: list[tuple[int, int | bytes]] = []
    at = 0
    while at < len(message):
        tag, at = _read_varint(message, at)
        if tag < 8:
            return []
        if tag & 7 == 0:
            value, at = _read_varint(message, at)
            fields.append((tag, value))
            continue
        size = _FIXED.get(tag & 7)
        if tag & 7 == _LENGTH_DELIMITED:
            size, at = _read_varint(message, at)
        if size is None or at + size > len(message):
            return []
        fields.append((tag, message[at : at + size]))
        at += size
    return fields


def _read_varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(message):
        value |= (message[at] & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if message[at - 1] <= 0x7F:
            break
    return value, at


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes((*encoded, value))


def encoded_fields(fields: Sequence[tuple[int, int | bytes]]) -> bytes:
    """Encode fields as a message."""
    return b"".join(_encoded_field(*each) for each in fields)


def _encoded_field(tag: int, content: int | bytes) -> bytes:
    if isinstance(content, int):
        return _varint(tag & ~7) + _varint(content)
    if len(content) == _FIXED.get(tag & 7):
        return _varint(tag) + content
    return _varint(tag & ~7 | _LENGTH_DELIMITED) + _varint(len(content)) + content


def one_of(*mutators: Mutator) -> Mutator:
    """Return a mutator that is one of several, each time another."""
    return lambda rng, data, other: rng.choice(mutators)(rng, data, other)
