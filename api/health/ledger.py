"""The check of the ledger: whether it is known what became of every event that was accepted."""

from api.health.dependencies import Dependencies
from api.health.result import CheckResult, failure
from api.ledger_balance import read_balance


def check_ledger(dependencies: Dependencies) -> CheckResult:
    """Accepted less written, deduplicated, dead and waiting, in each hour and kind; 0, also while events move."""
    with dependencies.logs_database() as connection:
        balance = read_balance(dependencies.queue, connection)
    if not balance.imbalance:
        summary = f"{balance.accepted} events accepted, {balance.waiting} of them wait, the others are accounted for."
        return CheckResult.of([], value=0, unit="events", summary=summary)
    sentence = (
        f"{balance.imbalance} of {balance.accepted} accepted events are not accounted for, or twice. `headhunter logs "
        "ledger` shows in which hours: look there for keys deleted by hand, a restore, a failover, or producers that "
        "bypass the scripts."
    )
    return CheckResult.of([failure(sentence)], value=balance.imbalance, unit="events")
