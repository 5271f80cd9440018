"""
Judges unsafe revisions and their safe twins: how many of the first are found, how many of the second are blamed.

One pair for each rule of squawk that is asked, each check of the strong_migrations project, each rule of ours. An
unsafe revision counts as found only where the rule named for it says so; a twin is blamed where any rule speaks.
"""

import tempfile
import time
from collections import Counter
from pathlib import Path

from migrator.authoring.squawk import NOT_WANTED
from tests.fixtures.lint_corpus import pairs
from tests.fixtures.shop import findings, shop


def main() -> None:
    total: Counter[str] = Counter()
    found: Counter[str] = Counter()
    blamed: Counter[str] = Counter()
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        environment = shop(Path(folder) / "shop")
        for pair in pairs():
            total[pair.source] += 1
            found[pair.source] += pair.rule in {one.rule for one in findings(environment, pair.unsafe)}
            blamed[pair.source] += bool(findings(environment, pair.safe))
    seconds = time.perf_counter() - began
    print(f"{'pairs of':<20}{'unsafe found':>16}{'safe blamed':>16}")
    for source, count in total.items():
        print(f"{source:<20}{found[source]:>8} of {count:>4}{blamed[source]:>8} of {count:>4}")
    count = total.total()
    print(f"{'all':<20}{found.total():>8} of {count:>4}{blamed.total():>8} of {count:>4}")
    print(f"recall {found.total() / count:.3f}, {seconds / count / 2 * 1000:.0f} ms a revision")
    print(f"rules of squawk that are not asked, because they forbid the safe way: {', '.join(NOT_WANTED)}")


if __name__ == "__main__":
    main()
