"""Tests that every plug-in should pass: inherit them in a test class, say what is tested, run pytest."""
