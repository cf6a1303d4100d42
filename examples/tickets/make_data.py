"""Make up short messages to three offices as numbers of words: data/OFFICE/{train,test}.parquet."""

import argparse
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

OFFICES = {"berlin": (0.6, 0.3, 0.1), "lyon": (0.1, 0.6, 0.3), "turin": (0.3, 0.1, 0.6)}
TOPICS = (
    ["invoice", "amount", "paid", "twice", "refund", "account", "charged"],
    ["parcel", "arrived", "late", "broken", "courier", "address", "lost"],
    ["password", "login", "screen", "error", "app", "crashes", "update"],
)
COMMON = [
    "hello",
    "please",
    "help",
    "my",
    "the",
    "is",
    "was",
    "again",
    "with",
    "and",
    "i",
    "have",
    "not",
    "a",
    "since",
    "thanks",
]
VOCABULARY = {
    word: number for number, word in enumerate((*COMMON, *TOPICS[0], *TOPICS[1], *TOPICS[2]), 1)
}  # 0 fills up


def message(topic: int, rng: np.random.Generator) -> list[int]:
    """Return the numbers of 6 to 20 words, a third of which are about the topic."""
    words = (rng.choice(TOPICS[topic] if rng.random() < 0.33 else COMMON) for _ in range(rng.integers(6, 21)))
    return [VOCABULARY[str(word)] for word in words]


def main(folder: Path, samples: int = 120) -> None:
    """Write the files of all offices, and the vocabulary, which all of them must share."""
    rng = np.random.default_rng(0)
    for office, shares in OFFICES.items():
        for part, count in (("train", samples), ("test", samples // 3)):
            topics = rng.choice(len(TOPICS), count, p=shares)
            rows = pa.array([message(topic, rng) for topic in topics], pa.list_(pa.int32()))
            target = folder / office / f"{part}.parquet"
            target.parent.mkdir(parents=True, exist_ok=True)
            pq.write_table(pa.table({"tokens": rows, "topic": topics}), target)
    (folder / "vocabulary.json").write_text(json.dumps(VOCABULARY, indent=1))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=Path("data"), help="folder to write (data)")
    main(parser.parse_args().folder)
