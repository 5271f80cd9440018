"""Fixtures for all tests, by subject in tests/fixtures/."""

import pytest

pytest_plugins = [
    "tests.fixtures.servers",
    "tests.fixtures.templates",
    "tests.fixtures.logs",
    "tests.fixtures.written",
    "tests.fixtures.log_events",
    "tests.fixtures.api",
    "tests.fixtures.api_queue",
    "tests.fixtures.object_store",
    "tests.fixtures.replica",
    "tests.fixtures.retention",
    "tests.fixtures.stacks",
]


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the modules that take longest, so that no process is left alone with one of them at the end."""
    items.sort(key=lambda item: "system" not in item.path.parts)
