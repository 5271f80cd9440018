"""Whether every event of a demo arrived: sent = rows + dead letters."""

import math
import shutil
from pathlib import Path

from headhunter.stack.flow import FlowMeter
from headhunter.stack.tally import TALLY_VARIABLE, read_tallies, stored_events


class Balance:
    """Compares what the processes of a demo sent with what the logs database has more than before it."""

    def __init__(self, folder: Path, logs_url: str, redis_url: str) -> None:
        self._folder = folder
        self._logs_url = logs_url
        self._redis_url = redis_url
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        self._queued_before = self._queued()
        self._stored_before = stored_events(logs_url)

    @property
    def environment(self) -> dict[str, str]:
        """What a process needs in its environment to be counted."""
        return {TALLY_VARIABLE: str(self._folder)}

    def is_even(self) -> bool:
        """Tell whether the account closes exactly; to be asked when all processes have ended."""
        sent, arrived, queued = self._account()
        return sent == arrived + queued

    def lines(self) -> list[str]:
        """Return the account in words."""
        sent, arrived, queued = self._account()
        total = read_tallies(self._folder)
        lines = [
            f"sent {sent:,} events = {arrived:,} rows and dead letters + {queued:,} left in the queue"
            if sent == arrived + queued
            else f"sent {sent:,} events, but {arrived:,} rows and dead letters and {queued:,} in the queue: "
            f"{sent - arrived - queued:+,} are not accounted for"
        ]
        if total.dropped:
            lines.append(f"{total.dropped:,} more were dropped before they were accepted")
        if total.visible_ms:
            ordered = sorted(total.visible_ms)
            p50, p99 = (ordered[math.ceil(len(ordered) * share) - 1] for share in (0.50, 0.99))
            lines.append(f"from emit to visible: p50 {p50:.0f} ms, p99 {p99:.0f} ms ({len(ordered):,} samples)")
        return lines

    def _account(self) -> tuple[int, int, int]:
        arrived = stored_events(self._logs_url) - self._stored_before
        return read_tallies(self._folder).accepted, arrived, self._queued() - self._queued_before

    def _queued(self) -> int:
        meter = FlowMeter(self._redis_url)
        try:
            return meter.depth() or 0
        finally:
            meter.close()
