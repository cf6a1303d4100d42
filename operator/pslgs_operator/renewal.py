"""When certificates are renewed: in the last third of their lifetime."""

from datetime import datetime

from pslgs_operator.observed import ChildJob, JobState
from pslgs_operator.settings import Settings


def renewal_time(child: ChildJob, settings: Settings) -> datetime | None:
    """Return when a child Job's certificate is to be renewed; None if it has none, or its pods are over."""
    if child.certificate_expires is None or child.deleting or child.state is not JobState.ACTIVE:
        return None
    return child.certificate_expires - settings.certificate_lifetime / 3
