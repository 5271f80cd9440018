"""What is taken out of events as secret, and what only looks like it."""

import json
import random
import string
import time
from datetime import UTC, datetime

import pytest

from log_events.llm_log import LlmLogEvent
from log_events.redaction import DEFAULT_REDACTOR, Redactor, redacted, redacted_fields
from log_events.system_log import SystemLogEvent
from log_events.uuid7 import uuid7

CHOICE = random.Random(20)


def made(prefix: str, length: int, alphabet: str = string.ascii_letters + string.digits) -> str:
    """A key of *prefix*'s shape, put together here so that no scanner of repositories takes it for a real one."""
    return prefix + "".join(CHOICE.choices(alphabet, k=length - 1)) + "7"


HEX = "0123456789abcdef"
JWT = f"{made('eyJ', 33)}.{made('eyJ', 70)}.{made('', 43)}"
KEYS = {
    "OpenAI": made("sk-", 48),
    "OpenAI project": made("sk-proj-", 120, string.ascii_letters + string.digits + "-_"),
    "Anthropic": made("sk-ant-api03-", 95),
    "Stripe": made("sk_live_", 24),
    "Stripe restricted": made("rk_test_", 24),
    "Stripe webhook": made("whsec_", 32),
    "GitHub": made("ghp_", 36),
    "GitHub app": made("ghs_", 36),
    "GitHub fine-grained": made("github_pat_", 82),
    "GitLab": made("glpat-", 20),
    "Slack": f"xoxb-{made('', 12, string.digits)}-{made('', 12, string.digits)}-{made('', 24)}",
    "Slack app": f"xapp-1-{made('A', 10)}-{made('', 13, string.digits)}-{made('', 64, HEX)}",
    "AWS": made("AKIA", 16, string.ascii_uppercase),
    "AWS session": made("ASIA", 16, string.ascii_uppercase),
    "Google": made("AIza", 35),
    "Google OAuth": made("ya29.", 60),
    "Google client": made("GOCSPX-", 28),
    "SendGrid": f"SG.{made('', 22)}.{made('', 43)}",
    "Hugging Face": made("hf_", 34),
    "npm": made("npm_", 36),
    "PyPI": made("pypi-", 100),
    "DigitalOcean": made("dop_v1_", 64, HEX),
    "Databricks": made("dapi", 32, HEX),
    "Shopify": made("shpat_", 32, HEX),
    "Groq": made("gsk_", 52),
    "xAI": made("xai-", 80),
    "Replicate": made("r8_", 37),
    "Vault": made("hvs.", 24),
    "Twilio": made("SK", 32, HEX),
    "Mailgun": made("key-", 32, HEX),
    "Telegram": f"123456789:{made('AA', 33)}",
    "JWT": JWT,
}
S = "Tr0ub4dor-x9"
"""Stands for a secret that has no shape of its own."""
LONG = made("", 40)

SECRETS = [
    (f"Authorization: Bearer {LONG}", LONG),
    (f"authorization: bearer {JWT}", JWT),
    ("curl -H 'Authorization: Basic dXNlcjpwYXNzd29yZA==' https://h/", "dXNlcjpwYXNzd29yZA"),
    (f'{{"Authorization": "Token {S}"}}', S),
    (f"Authorization={LONG}", LONG),
    (f'Authorization: Digest username="u", response="{LONG}"', LONG),
    (f"Authorization: AWS4-HMAC-SHA256 Credential=a/b/c, SignedHeaders=host, Signature={LONG}", LONG),
    (f"Proxy-Authorization: Basic {made('', 20)}==", "=="),
    (f"sent Bearer {LONG} to the peer", LONG),
    (f"headers {{b'authorization': b'Bearer {LONG}'}}", LONG),
    (f"X-Api-Key: {S}", S),
    (f"api_key={S}", S),
    (f"apikey={S}&page=2", S),
    (f"API key: {LONG}", LONG),
    (f'"apiKey":"{S}"', S),
    (f"AWS_SECRET_ACCESS_KEY={made('', 30)}/{S}", S),
    (f"AccountName=a;AccountKey={LONG}==;EndpointSuffix=core.windows.net", LONG),
    (f"Endpoint=sb://h/;SharedAccessKeyName=n;SharedAccessKey={LONG}=", LONG),
    (f"access_token={S}", S),
    (f"refreshToken: '{S}'", S),
    (f"?token={S}&user=5", S),
    (f'{{\\"token\\": \\"{S}\\"}}', S),
    (f"client_secret={S}", S),
    (f"CSRF-Token={S}", S),
    (f"password={S}", S),
    (f"password: {S}", S),
    ("Password: letmein", "letmein"),
    (f"PASSWORD = '{S} and more'", "and more"),
    (f"DB_PASSWORD={S}", S),
    (f"userPassword={S}", S),
    (f"passwd={S};", S),
    (f"pwd={S}", S),
    (f"Server=h;Uid=u;Pwd={S};", S),
    (f"host=h dbname=d user=u password={S} port=5432", S),
    (f"{{'user': 'u', 'password': '{S}'}}", S),
    (f'{{"password":"a \\"quoted\\" {S}"}}', S),
    (f'{{"password": 90210{S[:0]}}}', "90210"),
    (f"Login(user='u', password='{S}')", S),
    (f"db_pass={S}", S),
    (f"mysqldump --password {S} shop", S),
    (f"deploy --api-key '{S}'", S),
    (f'passphrase => "{S}"', S),
    (f"postgres://u:{S}@host:5432/db", S),
    (f"postgresql+psycopg://u:{S}@host/db?sslmode=require", S),
    (f"redis://:{S}@host:6379/0", S),
    (f"connecting to mongodb+srv://u:{S}@c.example.net/x", S),
    (f"amqp://u:p@ss/{S}@host", S),
    (f"https://u:{S}@host/path", S),
    (f"https://{LONG}@github.com/a/b.git", LONG),
    (f"git clone https://oauth2:{KEYS['GitLab']}@gitlab.com/a/b", KEYS["GitLab"]),
    (f"Cookie: sid={S}; theme=dark", S),
    (f"Set-Cookie: session={S}; HttpOnly; Path=/", S),
    (f"{{'Cookie': 'a={S}; b=c'}}", S),
    (f"sessionid={S}", S),
    (f"PHPSESSID={S}", S),
    (f"https://b.s3.amazonaws.com/k?X-Amz-Credential=a%2Fb&X-Amz-Signature={LONG}", LONG),
    (f"https://a.blob.core.windows.net/c?sv=2024&sig={LONG}%3D", LONG),
    (f"https://hooks.slack.com/services/T0000/B0000/{LONG}", LONG),
    (f"-----BEGIN RSA PRIVATE KEY-----\n{LONG}\n{LONG}\n-----END RSA PRIVATE KEY-----", LONG),
    (f"-----BEGIN OPENSSH PRIVATE KEY-----\n{LONG}\ncut here", LONG),
    *((f"the key {key} of {name} failed", key.split(":")[-1]) for name, key in KEYS.items()),
    *((f"https://h/v1?q={key}", key.split(":")[-1]) for key in KEYS.values()),
]

INNOCENT = [
    "a message of ordinary length for user 12345",
    "Authorization: required",
    "authorization: missing",
    "authorization=disabled for /health",
    "Bearer authentication failed",
    "the bearer of good news",
    "bearer token missing",
    "Basic authentication is deprecated",
    "Basic plan, Premium plan",
    "basic internationalization works",
    "password must have 12 characters",
    "Password: required",
    "password: must not be empty",
    "password=None",
    'password=""',
    "password_reset=true",
    "has_password=1",
    "password_changed_at: 2026-01-01",
    "passwordless login enabled: yes",
    "passed=12 failed=0",
    "pass=12 fail=0",
    "bypass=true",
    "compass=north",
    "tokens=512",
    "prompt_tokens: 1200, completion_tokens: 88",
    "max_tokens=4096",
    "token=17",
    "token_count=5",
    "Unexpected token: } at line 3",
    "tokenizer: cl100k_base",
    "nextPageToken=CAUQAA99",
    "page_token=abc1234",
    "secretary: Bob12345",
    "Secret Santa: 24 December",
    "secrets: none",
    "primary_key=user_id1",
    "foreign key: orders_user_id_fkey1",
    "key=value1",
    "monkey=banana22",
    "keyboard: us-intl-2",
    "public_key=ssh-ed25519",
    "pip install python-token==1.2.3",
    "cookie: enabled",
    "cookies: 3 accepted",
    "cookie policy: strict",
    "session_id=0190b6a2-7e3c-7d2a-9f3b-1c2d3e4f5a6b",
    "request 0190b6a2-7e3c-7d2a-9f3b-1c2d3e4f5a6b took 12 ms",
    "trace 4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
    "commit 9fceb02d0ae598e95dc970b74767f19372d61af8",
    "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "http://host:8080/path@v2",
    "https://packages.example.org:443/@scope/package",
    "postgresql://host:5432/db?application_name=a@b",
    "postgresql://user@host/db",
    "redis://localhost:6379/0",
    "mail to someone@example.com: sent",
    "git@github.com:owner/repository.git",
    "ratio 3:4@home",
    "sk-learn-compatible-estimator-check2",
    "task-1234567890abcdefghijklmnop",
    "risk-assessment-for-quarter-2026",
    "pk_live_51H8abcdefghijklmnopqrst",
    "sk_lived_in_a_house_for_20_years",
    "ghp_short",
    "ghostwriter_of_the_year_2026_edition",
    "AKIAVELLI",
    "xoxo-love-and-kisses-to-everyone",
    "hf_hub_download_with_progress_1",
    "npm_config_registry_url_for_ci_1",
    "eyJust.some.words",
    "eyJhbGciOiJIUzI1NiJ9",
    "SG.nothing",
    "dapibus_ac_facilisis_in_egestas_1",
    "key-value-store-of-the-cluster-1",
    "signature=valid",
    "?sig=short",
    "-----BEGIN CERTIFICATE-----\nMIIBhTCCASugAwIBAgIQ\n-----END CERTIFICATE-----",
    "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYI\n-----END PUBLIC KEY-----",
    "worker.run.schema_upgraded revision=ccb0d9fd7e5b",
    "--password-file /run/password",
    "use --token or set the variable",
    "access key rotation: done",
    "credentials: verified",
]


@pytest.mark.parametrize(("text", "secret"), SECRETS, ids=range(len(SECRETS)))
def test_a_secret_is_taken_out_and_its_surroundings_stay(text, secret):
    plain = redacted(text)

    assert secret not in plain
    assert "[redacted]" in plain
    assert redacted(plain) == plain
    assert text[:3] == plain[:3] or plain.startswith("[redacted]")


@pytest.mark.parametrize("text", INNOCENT, ids=range(len(INNOCENT)))
def test_what_only_looks_like_a_secret_stays_as_it_is(text):
    assert redacted(text) is text
    assert DEFAULT_REDACTOR.json(json.dumps({"note": text})) == json.dumps({"note": text})


def test_a_secret_keeps_its_name_and_the_rest_of_its_line():
    assert redacted(f"user=u password={S} port=1") == "user=u password=[redacted] port=1"
    assert redacted(f"redis://u:{S}@h:1/0 is away") == "redis://u:[redacted]@h:1/0 is away"
    assert redacted(f"Authorization: Bearer {LONG}, retry") == "Authorization: Bearer [redacted], retry"


@pytest.mark.parametrize(
    "key",
    ["password", "DB_PASSWORD", "clientSecret", "x-api-key", "Authorization", "Cookie", "Set-Cookie", "access_token"],
)
def test_extra_data_is_redacted_by_the_names_of_its_keys(key):
    nested = {"a": [{"deep": {key: "hunter"}}], "rest": 5}

    assert json.loads(DEFAULT_REDACTOR.json(json.dumps(nested))) == {"a": [{"deep": {key: "[redacted]"}}], "rest": 5}
    assert json.loads(DEFAULT_REDACTOR.json(json.dumps({key: {"x": ["hunter"]}}))) == {key: "[redacted]"}


def test_headers_as_pairs_are_redacted_by_name():
    pairs = {"headers": [["b'cookie'", "b'a=b'"], ["Authorization", "anything"], ["accept", "text/html"]]}

    assert json.loads(DEFAULT_REDACTOR.json(json.dumps(pairs)))["headers"] == [
        ["b'cookie'", "[redacted]"],
        ["Authorization", "[redacted]"],
        ["accept", "text/html"],
    ]


@pytest.mark.parametrize(
    "extra",
    [
        {"prompt_tokens": 5, "tokens": "many", "token": 17},
        {"has_password": True, "password": None, "secret": ""},
        {"next_page_token": "CAUQAA"},
        {"key": "value", "primary_key": "id", "author": "me", "session_id": "s-1", "keyboard": "us"},
        {"fields": ["user", "password", "email"]},
    ],
)
def test_harmless_extra_data_stays_to_the_letter(extra):
    text = json.dumps(extra)

    assert DEFAULT_REDACTOR.json(text) is text


def test_values_in_extra_data_are_redacted_by_their_shape():
    extra = json.dumps({"note": f"called with {KEYS['OpenAI']}", "url": f"redis://:{S}@h/0", "n": 1})

    assert json.loads(DEFAULT_REDACTOR.json(extra)) == {
        "note": "called with [redacted]",
        "url": "redis://:[redacted]@h/0",
        "n": 1,
    }


def test_own_patterns_and_keys_are_added():
    redactor = Redactor([r"EMP-\d{4}", r"badge (?P<secret>\w+)"], keys=["Personal-Number"])

    assert redactor.text(f"EMP-1234 with badge blue, password={S}") == (
        "[redacted] with badge [redacted], password=[redacted]"
    )
    assert json.loads(redactor.json('{"personal_number": 5, "name": "EMP-9999"}')) == {
        "personal_number": "[redacted]",
        "name": "[redacted]",
    }


def test_a_pattern_that_is_none_is_refused_by_name():
    with pytest.raises(ValueError, match=r"'\(' is not a regular expression"):
        Redactor(["("])


def test_every_text_of_an_event_is_redacted_and_an_event_without_secrets_is_itself():
    event = SystemLogEvent(
        uuid7(),
        datetime.now(UTC),
        "ERROR",
        "c",
        f"password={S}",
        "E",
        f"token={S}",
        f"pwd={S}",
        extra_data=f'{{"pwd":"{S}"}}',
    )
    plain = DEFAULT_REDACTOR.event(event)

    assert S not in repr(plain)
    assert (plain.id, plain.created_at, plain.extra_data) == (event.id, event.created_at, '{"pwd":"[redacted]"}')
    assert DEFAULT_REDACTOR.event(plain) is plain


def test_prompts_are_redacted_unless_told_otherwise():
    event = LlmLogEvent(
        uuid7(), datetime.now(UTC), "p", "m", None, f"my password: {S}", KEYS["GitHub"], 1, 2, 3, None, 5, "error",
        error_message=f"password={S}",
    )  # fmt: skip

    assert (DEFAULT_REDACTOR.event(event).prompt, DEFAULT_REDACTOR.event(event).response) == (
        "my password: [redacted]",
        "[redacted]",
    )
    kept = Redactor(prompts=False).event(event)
    assert (kept.prompt, kept.error_message) == (event.prompt, "password=[redacted]")


def test_loose_fields_are_redacted_without_touching_what_was_given():
    fields = {"message": f"token={S}", "level": "INFO", "extra_data": {"password": S, "n": [1]}, "latency_ms": 5}
    plain = redacted_fields(fields)

    assert plain == {
        "message": "token=[redacted]",
        "level": "INFO",
        "extra_data": {"password": "[redacted]", "n": [1]},
        "latency_ms": 5,
    }
    assert fields["extra_data"]["password"] == S
    assert redacted_fields(plain) == plain
    assert redacted_fields({"extra_data": f'{{"password": "{S}"}}'}) == {"extra_data": '{"password":"[redacted]"}'}
    assert redacted_fields({"message": 5, "extra_data": None}) == {"message": 5, "extra_data": None}


@pytest.mark.parametrize(
    "unit",
    [
        "password",
        "password=",
        "token:",
        '"password":"',
        "a.b-c_",
        "://",
        "://u:",
        "eyJ",
        "Bearer ",
        "cookie: a=",
        "\\",
        "--token ",
    ],
)
def test_no_text_makes_it_slow(unit):
    text = "password=x authorization: cookie: bearer basic eyj --token ://@ " + unit * (30_000 // len(unit))
    started = time.perf_counter()
    redacted(text)

    assert time.perf_counter() - started < 1


def test_what_cannot_be_encoded_or_parsed_harms_nothing():
    assert redacted("\ud800 password=x1") == "\ud800 password=[redacted]"
    assert DEFAULT_REDACTOR.json(f'{{"password": "{S}') == '{"password": "[redacted]'
    deep: object = "password=x1"
    for _ in range(100):
        deep = [deep]
    assert DEFAULT_REDACTOR.value(deep)
