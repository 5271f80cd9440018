"""Fixtures for all tests, by subject in tests/fixtures/."""

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
