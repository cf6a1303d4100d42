from datetime import UTC, datetime, timedelta

import pytest

from pslgs.identity.authority import CertificateAuthority


@pytest.fixture
def now() -> datetime:
    return datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.fixture
def authority(now: datetime) -> CertificateAuthority:
    return CertificateAuthority.create("job", now, timedelta(days=30))
