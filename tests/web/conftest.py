"""Clouds for the tests of the pages, on both databases."""

from tests.api.conftest import cloud, loop, make_cloud, own_cloud

__all__ = ["cloud", "loop", "make_cloud", "own_cloud"]
