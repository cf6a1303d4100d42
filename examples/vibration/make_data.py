"""Make up vibrations of machines in three factories: data/FACTORY/{train,test}.parquet."""

import argparse
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

STEPS = 256  # at 1 kHz
FACTORIES = {"graz": (0, 1, 2), "linz": (0, 1), "wien": (0, 2)}  # the states that each has seen
GAIN = {"graz": 1.0, "linz": 3.0, "wien": 0.5}  # of its sensors


def vibration(state: int, gain: float, rng: np.random.Generator) -> np.ndarray:
    """Return the acceleration of a machine along three axes; shape (3, STEPS)."""
    time = np.arange(STEPS) / 1000
    speed = rng.uniform(24, 26)  # rotations per second
    phase = rng.uniform(0, 2 * np.pi, (3, 1))
    signal = np.sin(2 * np.pi * speed * time + phase)
    if state == 1:  # imbalance: the rotation itself is stronger
        signal *= rng.uniform(2, 3)
    if state == 2:  # a worn bearing: short bursts of a high tone
        bursts = (time * 4 * speed + rng.uniform()) % 1 < 0.25
        signal = signal + bursts * np.sin(2 * np.pi * 180 * time + phase) * rng.uniform(1, 2)
    return gain * (signal + rng.normal(0, 0.3, (3, STEPS))) + 9.81 * np.array([[0], [0], [1]])


def main(folder: Path, samples: int = 90) -> None:
    """Write the files of all factories."""
    rng = np.random.default_rng(0)
    for factory, states in FACTORIES.items():
        for part, count in (("train", samples), ("test", samples // 3)):
            labels = rng.choice(states, count)
            rows = [vibration(state, GAIN[factory], rng).astype(np.float32).tolist() for state in labels]
            kind = pa.list_(pa.list_(pa.float32()))
            target = folder / factory / f"{part}.parquet"
            target.parent.mkdir(parents=True, exist_ok=True)
            pq.write_table(pa.table({"vibration": pa.array(rows, kind), "state": labels}), target)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=Path("data"), help="folder to write (data)")
    main(parser.parse_args().folder)
