"""What `helm test` runs: whether the operator hears its cluster; the argument is where it says so."""

import sys
import time
from urllib.error import URLError
from urllib.request import urlopen

_PATIENCE_SECONDS = 60


def trouble(address: str) -> str:
    """Say why the operator is not well; empty if it is."""
    try:
        with urlopen(address, timeout=10) as answer:  # noqa: S310 - the chart gives an http address
            print(answer.read().decode())
    except (URLError, TimeoutError) as error:
        return f"{address}: {error}"
    return ""


deadline = time.monotonic() + _PATIENCE_SECONDS
while problem := trouble(sys.argv[1]):
    if time.monotonic() > deadline:
        sys.exit(f"{problem}; look at the operator's log")
    time.sleep(1)
