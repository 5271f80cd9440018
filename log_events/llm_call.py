"""
One call of a language model, timed and logged in one of three ways.

A call that is over is logged at once::

    log_llm_call("openai", "gpt-5", prompt=prompt, response=text, latency_ms=840)

A block is timed, and its error recorded and raised again::

    with log_llm_call("openai", "gpt-5", prompt=prompt) as call:
        answer = client.create(...)
        call.response, call.completion_tokens = answer.text, answer.usage.completion_tokens

So is each call of a function, coroutines included::

    @log_llm_call("openai", "gpt-5", operation="summarise")
    def summarise(text: str) -> str: ...
"""

import functools
import inspect
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal
from types import TracebackType
from typing import Any, ParamSpec, Self, TypeVar, cast
from uuid import UUID

from log_events.dropped_kinds import LLM_KIND
from log_events.error_text import error_message, error_name
from log_events.extra_data import extra_json
from log_events.identifiers import Identifiers, split_identifiers
from log_events.llm_columns import fitting_columns
from log_events.llm_log import LlmLogEvent
from log_events.producer import Producer, usable_default_producer
from log_events.uuid7 import uuid7

P = ParamSpec("P")
R = TypeVar("R")

_OUTCOMES = (
    "response",
    "completion_tokens",
    "total_tokens",
    "cost_usd",
    "latency_ms",
    "error",
    "error_type",
    "error_message",
    "finish_reason",
)
"""Known only after a call: whoever gives one of them when making an `LlmCall` has the call behind him."""


@dataclass(repr=False, eq=False)
class LlmCall:
    """
    What is known of one call; logged exactly once, and never with an exception of its own.

    Made with an outcome (a response, a latency, an error, ...) it is logged at once.  Made without, it is a context
    manager or a decorator; one that is used as neither is logged when it is dropped.  A value that does not fit its
    column is kept in ``extra_data`` under its name.  ``created_at`` is the moment of logging, the end of the call.
    """

    provider: str
    model: str
    _: KW_ONLY
    operation: str | None = None
    prompt: str | None = None
    response: str | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None
    """Where it is not given, the sum of the two above, if both are."""
    cost_usd: Decimal | None = None
    latency_ms: int | None = None
    """Measured, unless it is given."""
    status: str | None = None
    """By default ``error`` where an error is given or raised, else ``success``."""
    error: BaseException | None = None
    """Gives error_type and error_message, unless they are given."""
    error_type: str | None = None
    error_message: str | None = None
    user_id: UUID | str | None = None
    company_id: UUID | str | None = None
    request_id: str | None = None
    extra_data: Mapping[str, object] | None = None
    trace_id: str | None = None
    span_id: str | None = None
    service: str | None = None
    """By default the producer's ``LOG_SERVICE_NAME``."""
    host: str | None = None
    """By default what this machine calls itself."""
    session_id: str | None = None
    response_model: str | None = None
    cached_prompt_tokens: int | None = None
    cache_write_tokens: int | None = None
    reasoning_tokens: int | None = None
    time_to_first_token_ms: int | None = None
    finish_reason: str | None = None
    streamed: bool | None = None
    on_result: Callable[["LlmCall", Any], None] | None = None
    """For the decorator: reads what the function returned into this object.  Without it, a text is the response."""
    producer: Producer | None = None
    """By default the process's own, made from the environment."""
    _started_at: float = field(default=0.0, init=False)
    _is_pending: bool = field(default=False, init=False)
    """Nobody has logged it yet, nor promised to."""

    def __post_init__(self) -> None:
        """Log a call that is over."""
        self._is_pending = True
        if any(getattr(self, outcome) is not None for outcome in _OUTCOMES):
            self._log()

    def __enter__(self) -> Self:
        self._claim()
        self._started_at = time.perf_counter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.latency_ms is None:
            self.latency_ms = self._elapsed_ms()
        if error is not None:
            self.error = error
        self._log()

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        """*function*, each of its calls timed and logged."""
        self._claim()
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            raise TypeError("a generator runs after its call is over: use `with log_llm_call(...)` inside of it")
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def timed_coroutine(*args: P.args, **kwargs: P.kwargs) -> object:
                with replace(self) as call:
                    return call._returned(await function(*args, **kwargs))  # noqa: SLF001 - a twin of self

            return cast("Callable[P, R]", timed_coroutine)

        @functools.wraps(function)
        def timed(*args: P.args, **kwargs: P.kwargs) -> R:
            with replace(self) as call:
                return call._returned(function(*args, **kwargs))  # noqa: SLF001 - a twin of self

        return timed

    def __del__(self) -> None:
        if self._is_pending:
            self._log()

    def first_token(self) -> None:
        """Note that the first token of a streamed response has arrived now; later calls change nothing."""
        if self.time_to_first_token_ms is None:
            self.time_to_first_token_ms = self._elapsed_ms()

    def _claim(self) -> None:
        if not self._is_pending:
            raise RuntimeError("this call is logged already, because its outcome was given; give it inside the block")
        self._is_pending = False

    def _elapsed_ms(self) -> int:
        return round((time.perf_counter() - self._started_at) * 1000)

    def _returned(self, result: R) -> R:
        if self.on_result is None:
            if isinstance(result, str):
                self.response = result
        else:
            try:
                self.on_result(self, result)
            except Exception as exc:  # noqa: BLE001 - the call itself went well, and so must its caller
                said = f"{error_name(exc)}: {error_message(exc)}"
                self.extra_data = {**_as_mapping(self.extra_data), "on_result_error": said}
        return result

    def _log(self) -> None:
        self._is_pending = False
        producer = self.producer or usable_default_producer()
        if producer is not None:
            try:
                producer.emit(self._event(producer.settings.service_name))
            except Exception:  # noqa: BLE001 - foreign objects were rendered, and logging must not break its caller
                producer.count_dropped(LLM_KIND)

    def _event(self, service: str | None) -> LlmLogEvent:
        if self.error is not None:
            self.error_type = self.error_type or error_name(self.error)
            self.error_message = self.error_message or error_message(self.error)
        if self.status is None:
            self.status = "success" if self.error_type is None and self.error_message is None else "error"
        self.service = self.service or service
        self.host = self.host or socket.gethostname()
        identifiers, unfit = split_identifiers({name: getattr(self, name) for name in Identifiers._fields})
        columns, misfits = fitting_columns(vars(self))
        extra = {**_as_mapping(self.extra_data), **unfit, **misfits}
        columns["provider"] = columns["provider"] or "unknown"
        columns["model"] = columns["model"] or "unknown"
        columns["extra_data"] = extra_json(extra) if extra else None
        return LlmLogEvent(id=uuid7(), created_at=datetime.now(UTC), **identifiers._asdict(), **columns)


log_llm_call = LlmCall
"""The name by which programs call it: see this module's first lines."""


def _as_mapping(extra_data: object) -> Mapping[str, object]:
    if isinstance(extra_data, Mapping):
        return extra_data
    return {} if extra_data is None else {"extra_data": extra_data}
