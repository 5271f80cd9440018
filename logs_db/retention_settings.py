"""How long log rows are kept, as every process that has to know reads it from its environment."""

from typing import Annotated, Any

from pydantic import BeforeValidator, Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from logs_db.retention_plan import Retention

MOST_DAYS = 36_500


def empty_is_unset(value: Any) -> Any:
    """*value*, or None where a variable is there but empty."""
    return None if value == "" else value


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

    @property
    def retention(self) -> Retention:
        """The same by table."""
        return Retention(self.system_log_retention_days, self.llm_log_retention_days, self.llm_payload_retention_days)
