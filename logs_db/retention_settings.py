"""How long log rows are kept, as every process that has to know reads it from its environment."""

from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from logs_db.retention_plan import Retention

MOST_DAYS = 36_500


def empty_is_unset(value: Any) -> Any:
    """*value*, or None where a variable is there but empty."""
    return None if value == "" else value


def _without_secrets(url: str | None) -> str | None:
    if url is not None and "@" in urlsplit(url).netloc:
        raise ValueError("may hold no credentials, for it is shown; set AWS_ACCESS_KEY_ID and its kin")
    return url


Days = Annotated[Annotated[int, Field(ge=1, le=MOST_DAYS)] | None, BeforeValidator(empty_is_unset)]


class RetentionSettings(BaseSettings):
    """The retention of each log table, in whole days of at least one; not set: its rows are kept for ever."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    system_log_retention_days: Days = Field(
        default=None, description="How many days system logs are kept; not set: for ever."
    )
    llm_log_retention_days: Days = Field(
        default=None, description="How many days LLM calls are kept; not set: for ever."
    )
    llm_payload_retention_days: Days = Field(
        default=None,
        description="How many days their prompts and responses are kept; not set, or longer: as long as the calls.",
    )

    log_archive_url: Annotated[str | None, BeforeValidator(empty_is_unset), AfterValidator(_without_secrets)] = Field(
        default=None,
        description="Where days are archived as Parquet before they are dropped: a folder's path, or "
        "`s3://bucket/prefix` with credentials from the usual AWS variables; needs `headhunter[archive]`. "
        "Not set: no archive.",
    )

    @property
    def retention(self) -> Retention:
        """The same by table."""
        return Retention(self.system_log_retention_days, self.llm_log_retention_days, self.llm_payload_retention_days)
