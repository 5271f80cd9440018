"""What ends a command is told in one message, with the exit code that says whether trying again will help."""

import psycopg
import pytest
import redis
from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from headhunter.faults import explained
from migrator.errors import PermanentError, TemporaryError
from servers.errors import FolderInUseError, ServerStartError


class Settings(BaseSettings):
    model_config = SettingsConfigDict(frozen=True)

    some_url: SecretStr
    some_port: int = Field(default=1, le=65535)
    other_url: SecretStr = SecretStr("x")

    @field_validator("other_url")
    @classmethod
    def _checked(cls, _url):
        raise ValueError("is not a URL; write postgresql://user:password@host:5432/name")

    @model_validator(mode="after")
    def _together(self):
        raise ValueError("both databases are the same")


def test_all_faulty_settings_are_listed_by_variable_and_no_value_is_shown(monkeypatch):
    monkeypatch.setenv("SOME_PORT", "hunter2")
    monkeypatch.setenv("OTHER_URL", "postgresql://me:hunter3@h/d")
    with pytest.raises(ValidationError) as caught:
        Settings()

    fault = explained(caught.value)

    assert fault.exit_code == 2
    assert fault.message.splitlines() == [
        "headhunter: 3 settings are wrong; nothing was started.",
        "  SOME_URL is not set",
        "  SOME_PORT Input should be a valid integer, unable to parse string as an integer",
        "  OTHER_URL is not a URL; write postgresql://user:password@host:5432/name",
    ]


def test_a_fault_of_several_settings_together_needs_no_variable(monkeypatch):
    class Pair(Settings):
        @field_validator("other_url")
        @classmethod
        def _checked(cls, url):
            return url

    monkeypatch.setenv("SOME_URL", "hunter2")
    with pytest.raises(ValidationError) as caught:
        Pair()

    assert explained(caught.value).message == (
        "headhunter: 1 setting is wrong; nothing was started.\n  both databases are the same"
    )


@pytest.mark.parametrize(
    ("error", "exit_code"),
    [
        (PermanentError("no"), 70),
        (TemporaryError("later"), 75),
        (psycopg.OperationalError("away"), 75),
        (redis.ConnectionError("away"), 75),
        (redis.TimeoutError("slow"), 75),
        (redis.AuthenticationError("wrong password"), 70),
        (ServerStartError("broken"), 70),
        (FolderInUseError("in use"), 2),
    ],
    ids=lambda value: type(value).__name__,
)
def test_errors_with_a_known_cure_have_their_exit_code(error, exit_code):
    assert explained(error).exit_code == exit_code
    assert explained(error).message == f"headhunter: {error}"


def test_what_nobody_foresaw_keeps_its_traceback():
    assert explained(KeyError("x")) is None
