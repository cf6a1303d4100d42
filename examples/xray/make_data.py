"""Make up chest radiographs of 16 bits in three clinics: data/CLINIC/{train,test}/CLASS/NUMBER.png."""

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

SIZE = 32
CLINICS = {  # the classes that a clinic has seen, and the exposure of its device
    "north": (("normal", "effusion", "nodule"), 1.0),
    "south": (("normal", "effusion", "nodule"), 0.8),
    "west": (("normal", "nodule"), 1.2),
}


def radiograph(finding: str, exposure: float, rng: np.random.Generator) -> np.ndarray:
    """Return an image of two dark lungs, of 12 bits stored in 16; shape (SIZE, SIZE)."""
    y, x = np.mgrid[-1 : 1 : SIZE * 1j, -1 : 1 : SIZE * 1j]
    lungs = sum(np.exp(-(((x - side) / 0.3) ** 2 + (y / 0.6) ** 2) * 1.5) for side in (-0.5, 0.5))
    light = 0.7 - 0.5 * lungs
    side = rng.choice([-0.5, 0.5])
    if finding == "effusion":  # fluid whitens the bottom of a lung
        light += 0.6 * ((y > rng.uniform(0.15, 0.35)) & (np.abs(x - side) < 0.35))
    if finding == "nodule":  # a small bright disc
        at = side + rng.uniform(-0.1, 0.1), rng.uniform(-0.5, 0.3)
        light += 0.6 * np.exp(-(((x - at[0]) ** 2 + (y - at[1]) ** 2) / 0.01))
    light = exposure * light + rng.normal(0, 0.03, light.shape)
    return (light.clip(0, 1.5) / 1.5 * 4095).astype(np.uint16)


def main(folder: Path, samples: int = 24) -> None:
    """Write the images of all clinics, so many of each class."""
    rng = np.random.default_rng(0)
    for clinic, (findings, exposure) in CLINICS.items():
        for part, count in (("train", samples), ("test", samples // 3)):
            for finding in findings:
                target = folder / clinic / part / finding
                target.mkdir(parents=True, exist_ok=True)
                for number in range(count):
                    Image.fromarray(radiograph(finding, exposure, rng)).save(target / f"{number}.png")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=Path("data"), help="folder to write (data)")
    main(parser.parse_args().folder)
