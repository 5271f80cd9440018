"""What can go wrong with an archive, a sentence each."""

from logs_db.retention import NotArchivedError


class ArchiveError(NotArchivedError):
    """Something of the archive cannot be written, read or trusted; no partition was dropped for it."""

    exit_code = 70
