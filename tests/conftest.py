"""Fixtures for all tests, by subject in tests/fixtures/."""

pytest_plugins = ["tests.fixtures.servers"]
