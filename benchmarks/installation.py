"""An installation of the local provider on this machine, made ready before a measurement and taken away after it.

Nothing of it stays: no machines, networks, firewall rules, or Podman service; but the base image, which all
installations on a machine share, and which takes a minute to build.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa

from benchmarks.figures import note
from forebay.compute.local import LocalProvider, image
from forebay.compute.local.service import Service
from forebay.settings import Settings
from forebay.storage.database import Database
from forebay.storage.tables import cloud


@contextmanager
def removed_afterwards(data_dir: Path) -> Iterator[None]:
    """Take all that the cloud of this folder has on this machine off it at the end of the block."""
    provider = provider_of(data_dir)
    try:
        yield
    finally:
        provider.remove_installation()


@contextmanager
def service_with_image(data_dir: Path) -> Iterator[Service]:
    """The cloud's Podman service, with the base image in its storage."""
    provider = provider_of(data_dir)
    try:
        provider.service.ensure()
        image.build(provider.service, note)
        yield provider.service
    finally:
        provider.close()


def provider_of(data_dir: Path) -> LocalProvider:
    """The local provider of the cloud in this folder."""
    settings = Settings(data_dir=data_dir)
    database = Database(settings.sqlalchemy_url)
    with database.read() as connection:
        cloud_id = str(connection.execute(sa.select(cloud.c.id)).scalar_one())
    database.close()
    return LocalProvider(settings, cloud_id)
