"""Forebay: a self-hosted GPU cloud for teams."""

__version__ = "0.1.0"
