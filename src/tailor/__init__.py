"""Tailor: recommenders for the long tail."""

__version__ = "0.2.0"
