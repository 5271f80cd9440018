"""What pages of logs can be asked: filters, time, size and place, each refused in a sentence where it is not served."""

import json
from datetime import datetime
from typing import Annotated, Final, Literal
from uuid import UUID

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from logs_db.queries import LlmLogFilter, SystemLogFilter

DEFAULT_LIMIT: Final = 50
MAX_LIMIT: Final = 500
MAX_VALUES: Final = 20
"""Values of one filter."""


def _without_nul(text: str) -> str:
    if "\0" in text:
        raise ValueError("no text in the database contains NUL")
    return text


def _upper(text: object) -> object:
    return text.upper() if isinstance(text, str) else text


def _json_object(text: str) -> str:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise ValueError('give a JSON object, for example {"status": 500}')  # noqa: TRY004 - pydantic tells only this
    return text


def _quick_path(path: str) -> str:
    if "like_regex" in path or path.count("**") > 1:
        raise ValueError("like_regex, and ** more than once, are not served: they can keep the database busy for long")
    return path


Level = Annotated[Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"], BeforeValidator(_upper)]
# Not empty: whoever asks for that has lost the value on the way, and would be shown the rows of everybody.
Text = Annotated[str, Field(min_length=1, max_length=255), AfterValidator(_without_nul)]


JsonObject = Annotated[str, Field(max_length=2000), AfterValidator(_without_nul), AfterValidator(_json_object)]
JsonPath = Annotated[
    str, Field(min_length=1, max_length=500), AfterValidator(_without_nul), AfterValidator(_quick_path)
]


class PageParameters(BaseModel):
    """What every page can be asked."""

    # A misspelt filter is refused: silently left out, it would show rows that nobody asked for.
    model_config = ConfigDict(extra="forbid", frozen=True)

    since: datetime | None = Field(None, description="From this time on; 24 hours before the end unless given.")
    until: datetime | None = Field(
        None, description="Before this time; now unless given. At most 366 days after since."
    )
    limit: int = Field(DEFAULT_LIMIT, ge=1, le=MAX_LIMIT, description="Most rows of a page.")
    cursor: str | None = Field(None, description="next_cursor of the page before, with the same filters.")
    error_type: Text | None = Field(None, description="Rows with this error type.")
    errors_only: bool = Field(default=False, description="Only rows with an error type.")
    request_id: Text | None = Field(None, description="Rows of this request.")
    trace_id: Text | None = Field(None, description="Rows of this W3C trace.")
    user_id: UUID | None = Field(None, description="Rows of this user.")
    company_id: UUID | None = Field(None, description="Rows of this company.")
    extra_contains: JsonObject | None = Field(
        None,
        description='Rows whose extra_data contains this JSON object, for example {"status": 500}. No index serves it: '
        "a page looks at 200,000 rows at most, see searched_since.",
    )
    extra_path: JsonPath | None = Field(
        None,
        description="Rows in whose extra_data this SQL/JSON path finds something, for example $.status ? (@ >= 500). "
        "No index serves it either. Without like_regex.",
    )

    def identity(self, table: str) -> str:
        """What a cursor is bound to: the table, and all parameters but the place and size of the page."""
        return f"{table} {self.model_dump_json(exclude={'cursor', 'limit'})}"

    def common(self) -> dict[str, object]:
        """The filters that both tables have, by their names there."""
        names = ("error_type", "errors_only", "request_id", "trace_id", "user_id", "company_id")
        return {name: getattr(self, name) for name in (*names, "extra_contains", "extra_path")}


class SystemLogParameters(PageParameters):
    """Filters of system logs."""

    level: list[Level] = Field(default_factory=list, description="Rows of this level; may be given several times.")
    component: list[Text] = Field(
        default_factory=list,
        max_length=MAX_VALUES,
        description="Rows of this component; may be given several times.",
    )
    text: Text | None = Field(
        None,
        description="Rows whose message contains this, in any case; % and _ stand for themselves. Without an index of "
        "trigrams on message, a page looks at 200,000 rows at most, see searched_since.",
    )

    def filters(self) -> SystemLogFilter:
        """Which rows."""
        # By keyword from a table of names: mypy cannot see that they fit, a test does.
        return SystemLogFilter(level=self.level, component=self.component, text=self.text, **self.common())  # type: ignore[arg-type]


class LlmLogParameters(PageParameters):
    """Filters of LLM logs."""

    provider: Text | None = Field(None, description="Rows of this provider.")
    model: Text | None = Field(None, description="Rows of the model that was asked for.")
    status: Text | None = Field(None, description="Rows of this status, for example success.")
    payloads: bool = Field(default=False, description="With prompts and responses, which are null otherwise.")

    def filters(self) -> LlmLogFilter:
        """Which rows."""
        # Likewise.
        return LlmLogFilter(provider=self.provider, model=self.model, status=self.status, **self.common())  # type: ignore[arg-type]
