"""The check of the ledger: whether it is known what became of every event that was accepted."""

from api.health.dependencies import Dependencies
from api.health.result import CheckResult, failure
from api.ledger_balance import Balance, read_balance


def check_ledger(dependencies: Dependencies) -> CheckResult:
    """
    Accepted less written, deduplicated, dead and waiting; 0 at rest.

    While events move, the two sides are read at two moments: only an imbalance that is there twice is one.
    """
    with dependencies.logs_database() as connection:
        first = read_balance(dependencies.queue, connection)
    if not _is_suspect(first):
        return _accounted(first)
    with dependencies.logs_database() as connection:
        second = read_balance(dependencies.queue, connection)
    if not _is_suspect(second) or second.imbalance != first.imbalance:
        return _accounted(second)
    sentence = (
        f"{second.imbalance} of {second.accepted} accepted events are not accounted for. `headhunter logs ledger` "
        "shows in which hours: look there for keys deleted by hand, a restore, a failover, or producers that bypass "
        "the scripts."
    )
    return CheckResult.of([failure(sentence)], value=second.imbalance, unit="events")


def _is_suspect(balance: Balance) -> bool:
    return balance.imbalance != 0 and not balance.waiting


def _accounted(balance: Balance) -> CheckResult:
    summary = f"{balance.accepted} events accepted, {balance.waiting} of them wait, the others are accounted for."
    return CheckResult.of([], value=0, unit="events", summary=summary)
