"""Tailor: recommenders for the long tail."""

__version__ = "0.1.0"
