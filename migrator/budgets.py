"""How long a start-up may wait, and for what."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Budgets:
    """
    Three budgets that do not touch each other: reaching the server, waiting for a peer, getting locks.

    Args:
        connect_attempts: How often to try to reach the server before giving up.
        connect_delay_seconds: Pause between two such tries.
        peer_seconds: How long to wait in all for another process that is migrating this database.
        lock_timeout_seconds: How long one statement of a revision waits for a lock that others hold.
        lock_attempts: How often one revision is run when it cannot get its locks.
    """

    connect_attempts: int = 5
    connect_delay_seconds: float = 2.0
    peer_seconds: float = 600.0
    lock_timeout_seconds: float = 4.0
    lock_attempts: int = 10
