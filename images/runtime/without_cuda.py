"""Replace the CUDA libraries of torch by empty ones, in images for tests on machines without a GPU.

The CUDA libraries are two thirds of a runtime image, and computations on a CPU never call them.  Because
torch is linked against them, each is replaced by an empty library of the same name, and symbols are resolved
on first use (RTLD_LAZY, set in a .pth file) instead of at start.  Any use of a GPU in such an image ends the
process with a "symbol lookup error".
"""

import re
import struct
import subprocess
import sys
import sysconfig
from pathlib import Path

PACKAGES = Path(sysconfig.get_path("purelib"))
LIBRARIES = PACKAGES / "torch" / "lib"
NEEDED = re.compile(r"ImportError: (\S+\.so[.\d]*): cannot open shared object file")
LAZY = "import os, sys; sys.setdlopenflags(os.RTLD_LAZY)\n"


def empty_library(name: str) -> bytes:
    """Return a shared library for x86-64 (ELF) with the soname ``name`` and without symbols."""
    strings = b"\0" + name.encode() + b"\0"
    symbols, segments, dynamic_entries = bytes(24), 2, 6
    symbols_at = 64 + 56 * segments
    strings_at = symbols_at + len(symbols)
    dynamic_at = -(-(strings_at + len(strings)) // 8) * 8
    size = dynamic_at + 16 * dynamic_entries
    header = struct.pack(
        *("<4s5B7xHHIQQQIHHHHHH", b"\x7fELF", 2, 1, 1, 0, 0, 3, 62, 1, 0, 64, 0, 0, 64, 56, segments, 0, 0, 0)
    )
    loaded = struct.pack("<IIQQQQQQ", 1, 6, 0, 0, 0, size, size, 0x1000)
    dynamic = struct.pack(
        "<IIQQQQQQ", 2, 6, dynamic_at, dynamic_at, dynamic_at, *2 * (16 * dynamic_entries,), 8
    )
    # DT_SONAME, DT_STRTAB, DT_SYMTAB, DT_STRSZ, DT_SYMENT, DT_NULL
    table = struct.pack("<12Q", 14, 1, 5, strings_at, 6, symbols_at, 10, len(strings), 11, 24, 0, 0)
    return (header + loaded + dynamic + symbols + strings).ljust(dynamic_at, b"\0") + table


def missing_library() -> str | None:
    """Import torch in a separate process, and return the name of the missing library; None if it succeeds.

    Raises:
        RuntimeError: the import fails for another reason.
    """
    found = subprocess.run(
        [sys.executable, "-c", "import torch, torchvision"], capture_output=True, text=True, check=False
    )
    if found.returncode == 0:
        return None
    missing = NEEDED.search(found.stderr)
    if missing is None:
        raise RuntimeError(f"torch cannot be imported:\n{found.stderr}")
    return missing[1]


def prune() -> None:
    """Delete all files of the remaining CUDA packages except the libraries that importing torch requires."""
    for file in (PACKAGES / "nvidia").rglob("*"):
        if file.is_file() and not re.match(r"lib(cudart|cupti|nvshmem_host)\.so\.\d+$", file.name):
            file.unlink()


def main() -> None:
    """Create an empty library for each one that torch misses."""
    prune()
    (PACKAGES / "lazy_libraries.pth").write_text(LAZY, encoding="utf-8")
    while name := missing_library():
        (LIBRARIES / name).write_bytes(empty_library(name))
        print(f"made an empty {name}")


if __name__ == "__main__":
    main()
