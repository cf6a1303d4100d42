"""The small datasets that are part of scikit-learn, for examples and tests."""

import numpy as np
from numpy.typing import NDArray
from sklearn import datasets

from pslgs.data.arrays import ArraySource
from pslgs.spec.data import DataSource, Split
from pslgs.spec.errors import InputError
from pslgs.spec.violations import nearest

LOADERS = {
    "breast_cancer": datasets.load_breast_cancer,
    "diabetes": datasets.load_diabetes,
    "digits": datasets.load_digits,
    "iris": datasets.load_iris,
    "wine": datasets.load_wine,
}
TEST_EVERY = 5


def open_scikit_learn(source: DataSource, field: str) -> ArraySource:
    """Open a dataset of scikit-learn by its name.

    Features are scaled to 0 … 1 by their minimum and maximum over the whole dataset; those of ``digits``,
    64 grey values of 8 × 8 pixels, are divided by 16.  Every fifth sample, starting with the first, belongs
    to the test split.

    Raises:
        InputError: no dataset has this name.
    """
    name = source.name or ""
    if name not in LOADERS:
        known = ", ".join(LOADERS)
        raise InputError.at(
            f"{field}.name", f"is '{name}', must be one of {known}{nearest(name, [*LOADERS])}"
        )
    loaded = LOADERS[name]()
    features = loaded.data / 16 if name == "digits" else _scaled(loaded.data)
    chosen = _members(len(features), source.chosen_split)
    names = tuple(map(str, loaded.target_names)) if "target_names" in loaded else None
    return ArraySource(features[chosen].astype(np.float32), loaded.target[chosen], names, field)


def _members(samples: int, split: Split | None) -> NDArray[np.bool_]:
    is_test: NDArray[np.bool_] = np.arange(samples) % TEST_EVERY == 0
    if split is Split.TEST:
        return is_test
    return ~is_test if split is Split.TRAIN else np.ones(samples, dtype=np.bool_)


def _scaled(features: NDArray[np.float64]) -> NDArray[np.float64]:
    low, high = features.min(axis=0), features.max(axis=0)
    scaled: NDArray[np.float64] = (features - low) / np.where(high > low, high - low, 1.0)
    return scaled
