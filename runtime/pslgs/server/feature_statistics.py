"""Feature moments that clients state, and the scale of features that is fixed for the job."""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from pslgs.coordination.feature_moments import FeatureMoments, FeatureScale
from pslgs.data.client_dataset import ClientDataset
from pslgs.server.hello_checks import ImplausibleClaim
from pslgs.transport.grpc_server import Session
from pslgs.transport.messages import EncodedFrame, control_frame
from pslgs.transport.v1 import training_pb2 as wire


class FeatureStatistics:
    """Fixes the scale of features before the first request, and sends it to every client before its first.

    The scale is that of the clients which are connected when it is fixed, in order of their names, or that of
    the checkpoint.  Clients that join later get the same.

    Attributes:
        scale: The scale; None until it is fixed, and for a job that standardises nothing.
    """

    def __init__(
        self,
        features: int = 0,
        values_per_sample: int = 1,
        scale: FeatureScale | None = None,
        evaluation: ClientDataset | None = None,
    ) -> None:
        """Make it for a job.

        Args:
            features: Number of features; 0 for a job that standardises nothing.
            values_per_sample: Number of values of a feature in one sample.
            scale: The scale of the checkpoint; None without one.
            evaluation: The server's own evaluation data, which are standardised as well; None without them.
        """
        self.scale: FeatureScale | None = None
        self._features = features
        self._values_per_sample = values_per_sample
        self._evaluation = evaluation
        self._stated: dict[str, tuple[int, FeatureMoments]] = {}
        self._informed: set[int] = set()
        if scale is not None:
            self._use(scale)

    def check(self, hello: wire.Hello) -> None:
        """Check the moments that a client states.

        Raises:
            ImplausibleClaim: they do not fit the job, or no values have such moments.
        """
        if not self._features and not hello.HasField("feature_moments"):
            return
        problem = _moments(hello).violation(self._features, hello.samples * self._values_per_sample)
        if problem is not None:
            raise ImplausibleClaim.at("spec.data.standardize", problem)

    def state(self, session: Session, hello: wire.Hello) -> None:
        """Count the moments of a client that joins."""
        if self._features and self.scale is None:
            self._stated[session.client_id] = (session.number, _moments(hello))

    def withdraw(self, session: Session) -> None:
        """Forget the moments of a session that has ended."""
        self._informed.discard(session.number)
        if self._stated.get(session.client_id, (None,))[0] == session.number:
            del self._stated[session.client_id]

    def fix(self) -> None:
        """Fix the scale over the clients that are connected, unless it is fixed."""
        if self._features and self.scale is None:
            self._use(
                FeatureScale.over((self._stated[each][1] for each in sorted(self._stated)), self._features)
            )
            self._stated.clear()

    def preceding(self, session: int, frames: Iterable[EncodedFrame]) -> Iterable[EncodedFrame]:
        """Return the scale, unless the session has it, and then ``frames``."""
        self.fix()
        scale = self.scale
        if scale is None or session in self._informed:
            return frames
        return self._informing(scale, session, frames)

    def _informing(
        self, scale: FeatureScale, session: int, frames: Iterable[EncodedFrame]
    ) -> Iterator[EncodedFrame]:
        """Decide when the frames are sent, because those posted before may have been dropped."""
        if session not in self._informed:
            stated = wire.Standardization(mean=scale.mean, deviation=scale.deviation)
            yield control_frame(wire.Header(standardization=stated))
            self._informed.add(session)
        yield from frames

    def to_json(self) -> dict[str, Any] | None:
        """Return the scale for a checkpoint; None where there is none."""
        return None if self.scale is None else self.scale.to_json()

    def _use(self, scale: FeatureScale) -> None:
        self.scale = scale
        if self._evaluation is not None:
            self._evaluation.standardize(scale)


def _moments(hello: wire.Hello) -> FeatureMoments:
    stated = hello.feature_moments
    return FeatureMoments(
        stated.count, np.array(stated.mean, np.float64), np.array(stated.deviations, np.float64)
    )
