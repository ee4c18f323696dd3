"""What every test may ask for. Tests that need a server start it themselves; what is missing fails, never skips."""

import itertools
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from forebay.storage import migrations
from forebay.storage.database import Database
from tests import servers

settings.register_profile("check", deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("prove", settings.get_profile("check"), max_examples=5000)
settings.load_profile("prove" if os.environ.get("PROVE") else "check")

# The settings of whoever runs the tests are none of the tests' business.
for variable in [name for name in os.environ if name.startswith("FOREBAY_")]:
    del os.environ[variable]

numbers = itertools.count(1)
"""Names for databases that live side by side on one server."""


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[servers.PostgreSQL]:
    """A PostgreSQL server of this test process, from its first use to its end."""
    with servers.postgresql() as server:
        yield server


@pytest.fixture(scope="session")
def stripe_world() -> Iterator[servers.StripeWorld]:
    """A stand-in for Stripe of this test process, from its first use to its end."""
    with servers.stripe_world() as world:
        yield world


@pytest.fixture(scope="session")
def postgresql_template(postgresql_server: servers.PostgreSQL) -> str:
    """The name of a migrated database without rows, to be copied."""
    migrations.upgrade(postgresql_server.create("migrated"))
    return "migrated"


@pytest.fixture(scope="session")
def sqlite_folder() -> Iterator[Path]:
    """Where the SQLite databases of this test process are."""
    folder = servers.database_folder("forebay-sqlite-")
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def sqlite_template(sqlite_folder: Path) -> Path:
    """A migrated file without rows, to be copied."""
    path = sqlite_folder / "migrated.db"
    migrations.upgrade(f"sqlite:///{path}")
    return path


@pytest.fixture
def sqlite_url(sqlite_template: Path) -> Iterator[str]:
    """A migrated SQLite database without rows, this test's own."""
    folder = sqlite_template.with_name(f"test_{next(numbers)}")
    folder.mkdir(mode=0o700)
    yield f"sqlite:///{shutil.copy(sqlite_template, folder / 'forebay.db')}"
    shutil.rmtree(folder)


@pytest.fixture
def postgresql_url(postgresql_server: servers.PostgreSQL, postgresql_template: str) -> Iterator[str]:
    """A migrated PostgreSQL database without rows, this test's own."""
    name = f"test_{next(numbers)}"
    yield postgresql_server.create(name, template=postgresql_template)
    postgresql_server.drop(name)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def database_url(request: pytest.FixtureRequest) -> str:
    """A migrated database without rows, this test's own: the test runs once on SQLite and once on PostgreSQL."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def blank_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database that no migration has touched yet, once of each kind."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'blank.db'}"
        return
    server: servers.PostgreSQL = request.getfixturevalue("postgresql_server")
    name = f"blank_{next(numbers)}"
    yield server.create(name)
    server.drop(name)


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """The open database of `database_url`."""
    database = Database(database_url)
    yield database
    database.close()
