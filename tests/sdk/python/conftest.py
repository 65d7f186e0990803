import pytest

from gateway import gateway


@pytest.fixture(scope="session")
def open_gateway():
    with gateway() as running:
        yield running


@pytest.fixture(scope="session")
def keyed_gateway():
    with gateway(with_key=True) as running:
        yield running
