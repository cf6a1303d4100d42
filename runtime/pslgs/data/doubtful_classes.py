"""Names of classes that look like errors in the labels."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from pslgs.spec.violations import nearest

_SIMILARITY: Final = 0.75
_NUMBER: Final = re.compile(r"[-+]?(\d+[.,]?\d*|[.,]\d+)([eE][-+]?\d+)?")


def doubtful_classes(sites: Iterable[Mapping[str, int]]) -> Iterator[str]:
    """Yield a sentence about each name that may be a spelling error, or a damaged number.

    Args:
        sites: Class -> number of its samples, for each client.
    """
    counts: Counter[str] = Counter()
    for site in sites:
        counts.update(site)
    numbers = {name for name in counts if _NUMBER.fullmatch(name)}
    others = sorted(counts.keys() - numbers)
    if others and 2 * sum(counts[name] for name in numbers) > counts.total():
        shown = ", ".join(map(repr, others[:5])) + (" …" if len(others) > 5 else "")
        yield f"most labels are numbers, but not {shown}: each becomes a class; correct it for a regression"
        return
    usual = [name for name in others if counts[name] > 1]
    for name in others:
        similar = nearest(name, [each for each in usual if _words(each) != _words(name)], _SIMILARITY)
        if counts[name] == 1 and similar:
            yield f"the class {name!r} has a single sample{similar}"


def _words(name: str) -> str:
    """Return a name without its numbers, by which names of different classes may differ."""
    return re.sub(r"\d+", "", name)
