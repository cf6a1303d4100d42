"""Standardisation of inputs: the moments of features, and their scale over all clients."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from torch import Tensor

from pslgs.coordination.feature_moments import FeatureMoments, FeatureScale
from pslgs.data.client_dataset import ClientDataset
from pslgs.data.input_scaling import features_by_name, features_of
from pslgs.data.transforms import unaugmented_pipeline
from pslgs.model_inputs import Inputs, InputShape, NamedShapes, elements
from pslgs.spec.data import DataSpec
from pslgs.spec.inputs import Standardization

_VALUES_AT_ONCE: Final = 1 << 20


def features_of_job(data: DataSpec, shape: InputShape) -> int:
    """Return the number of features that a job standardises separately; 0 if it standardises none.

    Raises:
        InputError: there are too many.
    """
    if isinstance(shape, NamedShapes):
        return sum(features_by_name(data.inputs, shape).values())
    return features_of(data.standardize, shape)


def moments_of(data: DataSpec, samples: ClientDataset) -> FeatureMoments:
    """Return the moments of a client's training samples, transformed without random transforms.

    Every sample is read once.  The result does not depend on the number of threads.

    Raises:
        InputError: a sample is damaged, or there are too many features.
    """
    plain = samples.transformed_by(unaugmented_pipeline(data))
    total = FeatureMoments.none(features_of_job(data, samples.input_shape))
    rows = max(1, _VALUES_AT_ONCE // elements(samples.input_shape))
    for first in range(0, plain.samples, rows):
        inputs = plain.in_order(first, min(rows, plain.samples - first)).inputs
        total = total + _moments_of_batch(data, inputs)
    return total


def scale_over(data: DataSpec, clients: Sequence[ClientDataset]) -> FeatureScale | None:
    """Return the scale over the training samples of clients, in their order; None without standardisation.

    Raises:
        InputError: see `moments_of`.
    """
    features = features_of_job(data, clients[0].input_shape)
    if not features:
        return None
    return FeatureScale.over((moments_of(data, each) for each in clients), features)


def _moments_of_batch(data: DataSpec, inputs: Inputs) -> FeatureMoments:
    if isinstance(inputs, Tensor):
        return FeatureMoments.of(_rows(data.standardize, inputs))
    standardized = [each for each in data.inputs if each.standardize is not Standardization.NONE]
    parts = [_per_sample(each.standardize, inputs[each.name]) for each in standardized]
    return FeatureMoments(
        parts[0].count,
        np.concatenate([each.mean for each in parts]),
        np.concatenate([each.deviations for each in parts]),
    )


def _per_sample(mode: Standardization, inputs: Tensor) -> FeatureMoments:
    """Return moments that count samples, since features of several inputs have different numbers of values.

    With v values of a feature in a sample, squared deviations are divided by v.  As all numbers of values are
    v times those of samples, means, variances and the merging of moments stay the same.
    """
    found = FeatureMoments.of(_rows(mode, inputs))
    values = found.count // max(1, len(inputs))
    return FeatureMoments(len(inputs), found.mean, found.deviations / max(1, values))


def _rows(mode: Standardization, inputs: Tensor) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """Return the values of each feature in a column."""
    values = inputs.numpy().astype(np.float64)
    if mode is Standardization.PER_CHANNEL:
        return np.moveaxis(values, 1, -1).reshape(-1, values.shape[1])
    return values.reshape(len(values), -1)
