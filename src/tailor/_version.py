"""The version of Tailor, importable by everything."""

__version__ = "0.2.0"
