"""Why the local stack ended although nobody told it to."""

from headhunter.faults import TEMPORARY


class StackError(Exception):
    """Something that the stack needs has ended; `exit_code` is what `headhunter up` ends with."""

    def __init__(self, message: str, exit_code: int = TEMPORARY) -> None:
        super().__init__(message)
        self.exit_code = exit_code
