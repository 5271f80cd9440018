"""
Secrets taken out of events before these leave the process, and out of what comes through the list by the worker.

Everything here is a pure function of its input and the redactor's own patterns; redacting twice changes nothing.
"""

import re
import string
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

import msgspec

from log_events.llm_log import LlmLogEvent
from log_events.secret_shapes import DOTTED_BEGINNINGS, KEY_BEGINNINGS, KEYS, NAMED, NAMES, REDACTED, RULES
from log_events.system_log import SystemLogEvent
from log_events.wire import LogEvent

PROMPT_COLUMNS = ("prompt", "response")
REDACTED_COLUMNS = ("message", "error_message", "stack_trace", *PROMPT_COLUMNS)
"""The texts that may hold secrets; ``extra_data`` is redacted by its keys too."""

_COLUMNS = {
    "system_log": frozenset(("type", *SystemLogEvent.__struct_fields__)),
    "llm_log": frozenset(("type", *LlmLogEvent.__struct_fields__)),
}
_ANY_COLUMNS = frozenset.union(*_COLUMNS.values())

_RUN = b"A" * 20
_KEY_LETTERS = frozenset(f"{string.ascii_letters}{string.digits}_-".encode())
_RUNS = bytes(ord("A") if byte in _KEY_LETTERS else ord(" ") for byte in range(256))
"""Maps whatever an API key is made of to one letter, so that a long one is found as a run of that letter."""
_BEGINNING_BYTES = frozenset(beginning[0] for beginning in KEY_BEGINNINGS)
_DOT = ord(".")
_TOO_DEEP = 64

_SECRET_KEY = re.compile(
    r"(?:password|passwd|passphrase|passwort|pwd|secret|secrets|token|apikey|apikeys|accesskey|accesskeyid|secretkey|privatekey"
    r"|accountkey|signingkey|encryptionkey|sharedaccesskey|masterkey|sessionkey|credential|credentials|authorization|cookie"
    r"|cookies|setcookie|sessionid|phpsessid|jsessionid|csrf|xsrf|connectionstring|dsn)$"
)
_HARMLESS_KEY = re.compile(r"(?:page|next|continuation|sync|cancellation|stop|eos|bos|pad|max|per)token$|^sessionid$")
_NUMBERS_TOO = re.compile(r"(?:password|passwd|passphrase|passwort|pwd|secret|apikey)$")
_NOT_IN_KEYS = re.compile(r"[^a-z0-9]")
_KEPT_KEYS = 4096

AnyEvent = TypeVar("AnyEvent", bound=LogEvent)


class Redactor:
    """
    Replaces secrets by ``[redacted]``: authorization headers, API keys, tokens, passwords, cookies, logins of URLs.

    Args:
        patterns: More regular expressions; of each match the group ``secret`` is replaced, or all of it.  They are
            tried on every text, so a slow one makes logging slow.
        keys: More names under which extra data holds secrets, in any case, with or without ``_`` and ``-``.
        prompts: Whether the prompts and responses of LLM calls are redacted too.

    Raises:
        ValueError: A pattern is no regular expression.
    """

    def __init__(self, patterns: Iterable[str] = (), *, keys: Iterable[str] = (), prompts: bool = True) -> None:
        try:
            self._patterns = tuple(re.compile(pattern) for pattern in patterns)
        except re.error as exc:
            raise ValueError(f"{exc.pattern!r} is not a regular expression: {exc}") from None
        self._keys = frozenset(_plain_key(key) for key in keys)
        self._verdicts: dict[str, re.Pattern[str] | None] = {}
        self.columns = REDACTED_COLUMNS if prompts else REDACTED_COLUMNS[: -len(PROMPT_COLUMNS)]

    def text(self, text: str) -> str:
        """*text* without its secrets; *text* itself where it has none."""
        for own in self._patterns:
            text = own.sub(_own_replacement, text)
        # Most texts are innocent, and this is on the way of every event: the checks stand here, not in functions.
        encoded = text.encode("utf-8", "replace")
        runs = encoded.translate(_RUNS)
        is_suspect = (_RUN in runs and _has_long_key(encoded, runs)) or "earer " in text or "asic " in text
        if is_suspect or "=" in text or ":" in text or "--" in text:
            lowered = text.lower()
            if is_suspect or _has_word(lowered) or ("@" in text and "://" in text):
                text = _without_secrets(text, lowered)
        return text

    def json(self, text: str) -> str:
        """JSON *text* of an object without its secrets, by key and by value; the same text where it has none."""
        encoded = text.encode("utf-8", "replace")
        runs = encoded.translate(_RUNS)
        is_suspect = (_RUN in runs and _has_long_key(encoded, runs)) or "earer " in text or "asic " in text
        if not (is_suspect or "@" in text or _has_word(text.lower()) or self._patterns or self._keys):
            return text
        try:
            value = msgspec.json.decode(encoded)
        except (msgspec.DecodeError, RecursionError):
            return self.text(text)
        plain = self.value(value)
        return text if plain == value else msgspec.json.encode(plain).decode()

    def value(self, value: Any, depth: int = 0) -> Any:
        """A JSON *value* without the secrets in its texts and under its keys."""
        if isinstance(value, str):
            return self.text(value)
        if depth > _TOO_DEEP:
            return value
        if isinstance(value, Mapping):
            return {key: self._under(key, item, depth + 1) for key, item in value.items()}
        if isinstance(value, list | tuple):
            if value and all(isinstance(item, list | tuple) and len(item) == 2 for item in value):  # noqa: PLR2004 - pairs
                return [[self.value(pair[0]), self._under(pair[0], pair[1], depth + 2)] for pair in value]
            return [self.value(item, depth + 1) for item in value]
        return value

    def fields(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """*fields* of a loose event, by name, without the secrets in its texts, extra data and names of no column."""
        event_type = fields.get("type")
        columns = _COLUMNS.get(event_type, _ANY_COLUMNS) if isinstance(event_type, str) else _ANY_COLUMNS
        # What has no column of its own ends in the extra data, so it is judged like the keys there.
        plain = {name: value if name in columns else self._under(name, value, 1) for name, value in fields.items()}
        for name in self.columns:
            if isinstance(value := plain.get(name), str):
                plain[name] = self.text(value)
        extra = plain.get("extra_data")
        if isinstance(extra, str):
            plain["extra_data"] = self.json(extra) if extra[:1] in "{[" else self.text(extra)
        elif extra is not None:
            plain["extra_data"] = self.value(extra)
        return plain

    def event(self, event: AnyEvent) -> AnyEvent:
        """*event* without the secrets in its texts and its extra data; *event* itself where it has none."""
        if (
            isinstance(event, SystemLogEvent)
            and event.extra_data is None
            and event.stack_trace is None
            and event.error_message is None
            and self.text(event.message) is event.message
        ):
            return event  # by far the most
        changed = {}
        for name in self.columns if isinstance(event, LlmLogEvent) else REDACTED_COLUMNS[:3]:
            value = getattr(event, name, None)
            if isinstance(value, str) and (plain := self.text(value)) != value:
                changed[name] = plain
        if event.extra_data and (plain := self.json(event.extra_data)) is not event.extra_data:
            changed["extra_data"] = plain
        return msgspec.structs.replace(event, **changed) if changed else event

    def _under(self, key: object, value: Any, depth: int) -> Any:
        kind = self._kind_of(key) if isinstance(key, str) else None
        if kind is None or value is None or isinstance(value, bool) or value == "":
            return self.value(value, depth)
        if isinstance(value, int | float) and not _NUMBERS_TOO.search(_plain_key(str(key))) and kind is _SECRET_KEY:
            return value
        return REDACTED

    def _kind_of(self, key: str) -> re.Pattern[str] | None:
        """What makes *key* the name of a secret; remembered, because programs use the same few keys again and again."""
        try:
            return self._verdicts[key]
        except KeyError:
            plain = _plain_key(key)
            verdict: re.Pattern[str] | None = None
            if plain in self._keys:
                verdict = _NOT_IN_KEYS
            elif _SECRET_KEY.search(plain) and not _HARMLESS_KEY.search(plain):
                verdict = _SECRET_KEY
            if len(self._verdicts) < _KEPT_KEYS:
                self._verdicts[key] = verdict
            return verdict


def redacted(text: str, redactor: Redactor | None = None) -> str:
    """*text* without its secrets."""
    return (redactor or DEFAULT_REDACTOR).text(text)


def redacted_fields(fields: Mapping[str, Any], redactor: Redactor | None = None) -> dict[str, Any]:
    """*fields* of a loose event, as the list holds them, without its secrets."""
    return (redactor or DEFAULT_REDACTOR).fields(fields)


def _has_long_key(encoded: bytes, runs: bytes) -> bool:
    """Whether somewhere a long run of letters and digits begins like the keys of a provider."""
    at = runs.find(_RUN)
    while at >= 0:
        if encoded[at] in _BEGINNING_BYTES and encoded.startswith(KEY_BEGINNINGS, at):
            return True
        if encoded[at - 1] == _DOT and encoded.endswith(DOTTED_BEGINNINGS, 0, at):
            return True
        end = runs.find(b" ", at)
        at = runs.find(_RUN, end) if end >= 0 else -1
    return False


def _has_word(lowered: str) -> bool:
    """Whether it has a word that every secret with a name beside it has.  Written out: a loop costs double."""
    return (
        "pass" in lowered
        or "pwd" in lowered
        or "secret" in lowered
        or "token" in lowered
        or "key" in lowered
        or "authoriz" in lowered
        or "cookie" in lowered
        or "credential" in lowered
        or "sess" in lowered
        or "srf" in lowered
        or "sig" in lowered
        or "slack" in lowered
    )


def _without_secrets(text: str, lowered: str) -> str:
    plain = KEYS.sub(REDACTED, text)
    for needles, pattern, replacement in RULES:
        if any(needle in lowered for needle in needles):
            plain = pattern.sub(replacement, plain)
    return _without_named_secrets(plain)


def _without_named_secrets(text: str) -> str:
    lowered = text.lower()
    if len(lowered) != len(text):  # a letter whose small form is two characters
        lowered = "".join(letter.lower() if letter.isascii() else letter for letter in text)
    pieces: list[str] = []
    done = 0
    for name in NAMES.finditer(lowered):
        if name.start() >= done and (found := _named_secret(text, name.start())) is not None:
            match, replacement = found
            pieces += (text[done : match.start()], match.expand(replacement))
            done = match.end()
    return "".join((*pieces, text[done:])) if pieces else text


def _named_secret(text: str, at: int) -> tuple[re.Match[str], str] | None:
    for pattern, replacement in NAMED:
        if (match := pattern.match(text, at)) is not None:
            return match, replacement
    return None


def _own_replacement(match: re.Match[str]) -> str:
    if "secret" not in match.re.groupindex or match["secret"] is None:
        return REDACTED
    whole, begin = match[0], match.start()
    return whole[: match.start("secret") - begin] + REDACTED + whole[match.end("secret") - begin :]


def _plain_key(key: str) -> str:
    lowered = key.lower()
    if lowered[:2] in ("b'", 'b"'):  # how a key of bytes is shown
        lowered = lowered[2:]
    return _NOT_IN_KEYS.sub("", lowered)


DEFAULT_REDACTOR = Redactor()
