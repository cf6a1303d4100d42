from datetime import UTC, datetime, timedelta

import pytest

from pslgs.identity.authority import CertificateAuthority
from pslgs.identity.identity import Identity

DAY = timedelta(days=1)


@pytest.fixture(scope="session")
def authority() -> CertificateAuthority:
    return CertificateAuthority.create("job", datetime.now(UTC), DAY)


@pytest.fixture(scope="session")
def server_identity(authority: CertificateAuthority) -> Identity:
    return authority.issue_server(["127.0.0.1", "localhost"], datetime.now(UTC), DAY)


@pytest.fixture(scope="session")
def client_identity(authority: CertificateAuthority) -> Identity:
    return authority.issue_client("client-0", datetime.now(UTC), DAY)
