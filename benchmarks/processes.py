"""Programs that benchmarks run."""

import subprocess
import sys


def run_module(module: str, *arguments: str) -> str:
    """Run a module of this installation to its end; return what it printed."""
    command = [sys.executable, "-m", module, *arguments]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
