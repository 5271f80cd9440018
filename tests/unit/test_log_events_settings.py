"""What a producer reads from its environment, and how it says what is wrong."""

import pickle

import pytest
import redis

from log_events.event_queue import DEFAULT_MAX_BYTES
from log_events.producer_settings import FIELDS, ProducerSettings, redactor_of
from log_events.redis_client import redis_client

SECRET = "tr0ub4dor"
URL = f"redis://:{SECRET}@localhost:6379/0"


def test_only_the_url_must_be_given():
    settings = ProducerSettings.from_environment({"REDIS_URL": URL})

    assert settings == ProducerSettings(redis_url=URL)
    assert (settings.thread_pool_size, settings.queue_max_bytes) == (2, DEFAULT_MAX_BYTES)
    assert (settings.buffer_max_bytes, settings.service_name) == (64 * 1024 * 1024, None)


def test_each_variable_reaches_its_attribute():
    settings = ProducerSettings.from_environment(
        {
            "REDIS_URL": f" {URL} ",
            "LOG_THREAD_POOL_SIZE": "4",
            "LOGS_QUEUE_MAX_BYTES": "1000",
            "LOG_BUFFER_MAX_BYTES": "2000",
            "LOG_SERVICE_NAME": "shop",
            "LOG_SPOOL_FOLDER": "/var/spool/shop",
            "LOG_SPOOL_MAX_BYTES": "3000",
            "LOG_REDACT_PATTERN": r"EMP-\d+",
            "LOG_REDACT_KEYS": "badge, pin",
            "LOG_REDACT_PROMPTS": "False",
        }
    )

    assert settings == ProducerSettings(
        redis_url=URL,
        thread_pool_size=4,
        queue_max_bytes=1000,
        buffer_max_bytes=2000,
        service_name="shop",
        spool_folder="/var/spool/shop",
        spool_max_bytes=3000,
        redact_pattern=r"EMP-\d+",
        redact_keys="badge, pin",
        redact_prompts=False,
    )


def test_settings_make_a_redactor_of_their_pattern_and_keys():
    redactor = redactor_of(ProducerSettings(redis_url=URL, redact_pattern=r"EMP-\d+", redact_keys="badge, pin"))

    assert redactor.text("EMP-12 came") == "[redacted] came"
    assert redactor.json('{"badge": "x", "PIN": 5}') == '{"badge":"[redacted]","PIN":"[redacted]"}'


def test_an_empty_variable_is_unset():
    assert ProducerSettings.from_environment({"REDIS_URL": URL, "LOG_THREAD_POOL_SIZE": ""}).thread_pool_size == 2


def test_the_environment_of_the_process_is_the_default(monkeypatch):
    monkeypatch.setenv("REDIS_URL", URL)
    monkeypatch.setenv("LOG_THREAD_POOL_SIZE", "3")

    assert ProducerSettings.from_environment().thread_pool_size == 3


def test_all_faults_are_told_together_and_no_secret_with_them():
    environment = {
        "REDIS_URL": f"redis://:{SECRET}/x@localhost",
        "LOG_THREAD_POOL_SIZE": "none",
        "LOGS_QUEUE_MAX_BYTES": "0",
        "LOG_BUFFER_MAX_BYTES": "-1",
        "LOG_SERVICE_NAME": "a\nb",
        "LOG_SPOOL_FOLDER": "here",
        "LOG_SPOOL_MAX_BYTES": "much",
        "LOG_REDACT_PATTERN": "(",
        "LOG_REDACT_PROMPTS": "maybe",
    }
    with pytest.raises(ValueError, match="settings of the log producer") as caught:
        ProducerSettings.from_environment(environment)

    message = str(caught.value)
    assert all(f"{variable} is" in message for variable in environment)
    assert SECRET not in message
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    "url",
    [
        f"http://:{SECRET}@localhost",
        f"redis://:{SECRET}@localhost:port",
        f"redis://:{SECRET}@localhost:99999",
        f"redis://:{SECRET}@[::1/0",
        f"redis://:{SECRET}@localhost/logs",
        f"redis://:{SECRET}@localhost?unknown={SECRET}",
        f"redis://:{SECRET}@localhost?db={SECRET}",
    ],
)
def test_a_malformed_url_is_refused_without_being_shown(url):
    with pytest.raises(ValueError, match="REDIS_URL") as caught:
        ProducerSettings(redis_url=url)

    assert SECRET not in str(caught.value)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


@pytest.mark.parametrize("url", ["rediss://h:1/2", "unix:///run/redis.sock?db=1", "redis://[::1]:6379", "redis://h"])
def test_every_kind_of_redis_url_is_understood(url):
    assert ProducerSettings(redis_url=url).redis_url == url


def test_a_missing_url_is_told_with_its_meaning():
    with pytest.raises(ValueError, match="REDIS_URL is not set: the Redis or Valkey that holds the log queue"):
        ProducerSettings.from_environment({})


def test_settings_given_by_hand_obey_the_same_rules():
    with pytest.raises(ValueError, match="LOG_THREAD_POOL_SIZE is '0'"):
        ProducerSettings(redis_url=URL, thread_pool_size=0)


def test_the_url_is_not_part_of_what_is_printed():
    assert SECRET not in repr(ProducerSettings(redis_url=URL))


def test_settings_may_travel_to_another_process():
    settings = ProducerSettings(redis_url=URL)

    assert pickle.loads(pickle.dumps(settings)) == settings


def test_every_stated_default_is_the_real_one():
    stated = {known.attribute: known.parse(known.default) if known.default else None for known in FIELDS[1:]}

    settings = ProducerSettings(redis_url=URL)
    assert stated == {attribute: getattr(settings, attribute) for attribute in stated}


def test_a_client_tries_once_answers_in_bytes_and_leaves_the_protocol_alone():
    client = redis_client(
        "redis://h:1/2?protocol=3&decode_responses=True&socket_timeout=7",
        connect_timeout_seconds=1,
        answer_timeout_seconds=2,
    )
    options = client.connection_pool.connection_kwargs

    assert (options["socket_connect_timeout"], options["socket_timeout"]) == (1, 7)
    assert options["decode_responses"] is False
    assert options["retry"].get_retries() == 0
    assert "protocol" not in options


def test_a_client_of_a_unix_socket_can_be_made():
    client = redis_client("unix:///nowhere/redis.sock", connect_timeout_seconds=1, answer_timeout_seconds=1)

    with pytest.raises(redis.ConnectionError):
        client.ping()
