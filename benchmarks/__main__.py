"""
Runs the benchmarks named on the command line, or the quick ones: ``python -m benchmarks [NAME ...] [--list]``.

Each is a module of this folder with a ``main()`` whose docstring says what it measures beside which limit.
"""

import importlib
import sys
from pathlib import Path

QUICK = ("probe", "emit", "throughput")


def names() -> list[str]:
    """The benchmarks of this folder."""
    return sorted(path.stem for path in Path(__file__).parent.glob("[a-z]*.py"))


def main() -> None:
    wanted = sys.argv[1:] or list(QUICK)
    unknown = [name for name in wanted if name not in names()]
    if unknown or "--list" in wanted:
        print("Benchmarks:", *(f"  {name}: {_summary(name)}" for name in names()), sep="\n")
        sys.exit(2 if unknown and "--list" not in wanted else 0)
    for name in wanted:
        print(f"\n{name}: {_summary(name)}", flush=True)
        sys.argv = [name]
        importlib.import_module(f"benchmarks.{name}").main()


def _summary(name: str) -> str:
    text = importlib.import_module(f"benchmarks.{name}").__doc__ or ""
    return text.strip().splitlines()[0] if text.strip() else ""


if __name__ == "__main__":
    main()
