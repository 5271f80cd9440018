import pytest
from pydantic import ValidationError

from api.settings import ApiSettings

GOOD = {
    "DATABASE_URL": "postgresql://app:s3cret@db/headhunter_db",
    "LOGS_DATABASE_URL": "postgresql://app:s3cret@db/headhunter_logs",
    "REDIS_URL": "redis://:s3cret@cache:6379/0",
}


@pytest.fixture
def environment(monkeypatch):
    for field in ApiSettings.model_fields:
        monkeypatch.delenv(field.upper(), raising=False)

    def use(**variables):
        for name, value in (GOOD | variables).items():
            monkeypatch.setenv(name, value) if value is not None else monkeypatch.delenv(name, raising=False)

    return use


def faults(error):
    return {str(detail["loc"][0]): detail["msg"] for detail in error.errors()}


def test_settings_come_from_the_environment_with_their_defaults(environment):
    environment()

    settings = ApiSettings()

    assert settings.database_url.get_secret_value() == GOOD["DATABASE_URL"]
    assert (settings.api_host, settings.api_port, settings.admin_token) == ("127.0.0.1", 8000, None)


def test_all_faults_are_told_together_and_never_a_password(environment):
    environment(
        DATABASE_URL=None, LOGS_DATABASE_URL="mysql://app:s3cret@db/x", REDIS_URL="redis://:s3/cret@h:1", API_PORT="x"
    )

    with pytest.raises(ValidationError) as caught:
        ApiSettings()

    assert set(faults(caught.value)) == {"database_url", "logs_database_url", "redis_url", "api_port"}
    assert "s3" not in str(caught.value)


def test_the_two_databases_must_differ_whatever_their_role(environment):
    environment(LOGS_DATABASE_URL="postgresql://other:pw@DB:5432/headhunter_db")

    with pytest.raises(ValidationError, match="same database as DATABASE_URL"):
        ApiSettings()


def test_databases_of_one_name_on_two_ports_differ(environment):
    environment(LOGS_DATABASE_URL="postgresql://app:pw@db:5433/headhunter_db")

    assert ApiSettings().logs_database_url


@pytest.mark.parametrize(
    "url", ["redis://", "redis:///0", "http://h", "redis://h:port", "cache:6379", "redis://:p#w@h"]
)
def test_what_is_no_redis_url_is_refused(environment, url):
    environment(REDIS_URL=url)

    with pytest.raises(ValidationError, match="not a Redis URL"):
        ApiSettings()


@pytest.mark.parametrize("url", ["redis://h", "rediss://u:p%2Fw@h:1/2", "unix:///run/redis.sock"])
def test_every_kind_of_redis_url_is_taken(environment, url):
    environment(REDIS_URL=url)

    assert ApiSettings().redis_url.get_secret_value() == url


@pytest.mark.parametrize("blank", ["", " ", "\n"])
def test_a_blank_admin_token_is_none(environment, blank):
    environment(ADMIN_TOKEN=blank)

    assert ApiSettings().admin_token is None


def test_the_newline_of_a_tokens_file_is_no_part_of_it(environment):
    environment(ADMIN_TOKEN="t0ken\n")

    assert ApiSettings().admin_token.get_secret_value() == "t0ken"


def test_nothing_secret_is_shown(environment):
    environment(ADMIN_TOKEN="t0ken")

    assert "s3cret" not in repr(ApiSettings())
    assert "t0ken" not in repr(ApiSettings())
