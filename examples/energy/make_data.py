"""Make up the energy that four plants need for a batch of steel: data/PLANT/{train,test}.csv."""

import argparse
import csv
from pathlib import Path

import numpy as np

PLANTS = ("donau", "enns", "mur", "traun")
COLUMNS = ("batch", "mass_kg", "start_celsius", "target_celsius", "humidity", "is_night", "energy_mwh")


def row(number: int, plant: int, rng: np.random.Generator) -> list[object]:
    """Return the values of a batch; each plant processes batches of another size."""
    mass = rng.normal(40_000 + 15_000 * plant, 3_000)
    start, target = rng.normal(20, 10), rng.normal(1_580, 25)
    humidity, night = rng.uniform(0.3, 0.9), int(rng.integers(2))
    energy = mass * (target - start) * 2.0e-7 + 0.8 * humidity - 0.5 * night + rng.normal(0, 0.1)
    return [number, f"{mass:.1f}", f"{start:.2f}", f"{target:.1f}", f"{humidity:.3f}", night, f"{energy:.4f}"]


def main(folder: Path, samples: int = 200) -> None:
    """Write the files of all plants."""
    rng = np.random.default_rng(0)
    for plant, name in enumerate(PLANTS):
        for part, count in (("train", samples), ("test", samples // 4)):
            target = folder / name / f"{part}.csv"
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("w", newline="") as file:
                writer = csv.writer(file)
                writer.writerow(COLUMNS)
                writer.writerows(row(number, plant, rng) for number in range(count))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=Path("data"), help="folder to write (data)")
    main(parser.parse_args().folder)
