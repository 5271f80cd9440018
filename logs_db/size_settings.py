"""What the logs database may take, and how long its rows are kept, as the environment says it."""

from typing import Annotated

from pydantic import BeforeValidator, Field

from logs_db.retention_settings import RetentionSettings, empty_is_unset


class SizeSettings(RetentionSettings):
    """The limit of the logs database beside the retention that keeps it within."""

    logs_database_max_bytes: Annotated[Annotated[int, Field(gt=0)] | None, BeforeValidator(empty_is_unset)] = Field(
        default=None,
        description="What the logs database may take on its disk: health tells in how many days it would. Nothing is "
        "stopped or dropped by it; not set: no limit is told.",
    )
