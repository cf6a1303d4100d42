"""Damage within containers, whose lengths and checksums are right afterwards: archives, PNG and others."""

import io
import random
import struct
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import PurePath

from fuzzing.mutators import INTEGERS, Mutator, mutate_bytes, mutate_json, with_words

Parts = dict[str, bytes]


def enveloped(
    unpack: Callable[[bytes], Parts], pack: Callable[[Parts], bytes], inner: Callable[[str], Mutator]
) -> Mutator:
    """Return a mutator that damages a part of a container and seals the container anew.

    Args:
        unpack: Returns the parts of a container by name; raises ValueError if it is damaged.
        pack: Makes a container, with the right lengths and checksums.
        inner: Returns the mutator of a part of a name.
    """

    def mutate(rng: random.Random, data: bytes, other: bytes) -> bytes:
        try:
            parts, donors = unpack(data), unpack(other)
        except ValueError:
            return mutate_bytes(rng, data, other)
        if not parts or rng.random() < 0.03:
            return mutate_bytes(rng, data, other)
        name = rng.choice(list(parts))
        if rng.random() < 0.05:
            content = parts.pop(name)
            if rng.random() < 0.5:
                parts[f"{name}2"] = content
        else:
            parts[name] = inner(name)(rng, parts[name], donors.get(name, parts[name]))
        return pack(parts)

    return mutate


def files(parts: Mapping[str, bytes]) -> bytes:
    """Return files by name as one input, a zip archive."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, content in parts.items():
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def parts_of(data: bytes) -> Parts:
    """Return the files of an archive by name.

    Raises:
        ValueError: it cannot be read.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return {name: archive.read(name) for name in archive.namelist()}
    except (
        zipfile.BadZipFile,
        zlib.error,
        LookupError,
        OSError,
        EOFError,
        NotImplementedError,
        RuntimeError,
    ) as error:
        raise ValueError("no archive") from error


def png_chunks(data: bytes) -> Parts:
    chunks: Parts = {}
    at = 8
    while at + 12 <= len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        kind = data[at + 4 : at + 8].decode("latin-1")
        chunks[f"{len(chunks):03} {kind}"] = data[at + 8 : at + 8 + size]
        at += 12 + size
    return chunks


def png(chunks: Parts) -> bytes:
    made = [b"\x89PNG\r\n\x1a\n"]
    for name, content in chunks.items():
        body = (name.partition(" ")[2].encode("latin-1") + b"    ")[:4] + content
        made.append(struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body)))
    return b"".join(made)


def safetensors_parts(data: bytes) -> Parts:
    size = int.from_bytes(data[:8], "little")
    if size > len(data) - 8:
        raise ValueError("the header is longer than the file")
    return {"header": data[8 : 8 + size], "values": data[8 + size :]}


def safetensors(parts: Parts) -> bytes:
    header = parts.get("header", b"{}")
    return len(header).to_bytes(8, "little") + header + parts.get("values", b"")


def _npy_parts(data: bytes) -> Parts:
    size = int.from_bytes(data[8:10], "little")
    if not data.startswith(b"\x93NUMPY") or len(data) < 10 + size:
        raise ValueError("no array")
    return {"version": data[6:8], "header": data[10 : 10 + size], "values": data[10 + size :]}


def _npy(parts: Parts) -> bytes:
    header = parts.get("header", b"")[:65535]
    return (
        b"\x93NUMPY"
        + parts.get("version", b"\1\0")
        + len(header).to_bytes(2, "little")
        + header
        + parts.get("values", b"")
    )


_DTYPES = (
    b"'|O'",
    b"'<M8[ns]'",
    b"'<U9'",
    b"'|V9'",
    b"'<c16'",
    b"'<f2'",
    b"'>i8'",
    b"[('a', '<i4')]",
    b"'<U0'",
)
_NUMBERS = tuple(str(each).encode() for each in INTEGERS)
mutate_npy_header = with_words(*_DTYPES, *_NUMBERS, b"-", b"(", b"True", b"None", b"(2, (3,))", b"[" * 200)
mutate_png = enveloped(png_chunks, png, lambda _: mutate_bytes)
mutate_npy = enveloped(_npy_parts, _npy, lambda name: mutate_npy_header if name == "header" else mutate_bytes)
mutate_safetensors = enveloped(
    safetensors_parts, safetensors, lambda name: mutate_json if name == "header" else mutate_bytes
)
_BY_SUFFIX: Mapping[str, Mutator] = {
    ".json": mutate_json,
    ".npy": mutate_npy,
    ".png": mutate_png,
    ".safetensors": mutate_safetensors,
}
mutate_files = enveloped(parts_of, files, lambda name: _BY_SUFFIX.get(PurePath(name).suffix, mutate_bytes))
