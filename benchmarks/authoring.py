"""
Adds a column to a model, times `headhunter db revision`: goal 10 s where no server runs, 5 s from the second call on.

Works in a copy of the packages, with a new folder for the throw-away PostgreSQL, and ends with the revision that came
out of it: whether it was found sound, and with HEADHUNTER_BENCH_ROWS (default 200000) rows in each table that it
touches, how long clients that insert meanwhile had to wait.  Each call is a new process, Python's start included.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGES = ("headhunter", "worker", "api", "main_db", "logs_db", "log_events", "migrator", "servers")
ROWS = int(os.environ.get("HEADHUNTER_BENCH_ROWS", "200000"))
_MODEL = Path("logs_db/models/system_log.py")
_COLUMN = '    session_id: Mapped[str | None] = mapped_column(String(100), comment="Session that it belongs to")\n'
_BEFORE = "    host: Mapped"


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="headhunter-authoring-") as temporary:
        folder = Path(temporary)
        try:
            for call in ("first", "second", "third"):
                _copy(folder / call)
                seconds, done = _revision(folder / call, folder / "scratch")
                sound = "sound" if done.returncode == 0 else f"exit code {done.returncode}: {done.stderr}{done.stdout}"
                print(f"{call} call: {seconds:.1f} s, {sound}", flush=True)
            _copy(folder / "rehearsed")
            seconds, done = _revision(folder / "rehearsed", folder / "scratch", "--rows", str(ROWS))
            print(f"rehearsed on {ROWS:,} rows: {seconds:.1f} s")
            print(done.stdout[done.stdout.index("Rehearsed") :] if "Rehearsed" in done.stdout else done.stdout)
        finally:
            # The server ends when its mark of use is gone; the folder goes after it.
            (folder / "scratch" / "used").unlink(missing_ok=True)
            _await_end(folder / "scratch")


def _copy(folder: Path) -> None:
    ignored = shutil.ignore_patterns("__pycache__")
    for package in PACKAGES:
        shutil.copytree(ROOT / package, folder / package, ignore=ignored)
    model = folder / _MODEL
    text = model.read_text(encoding="utf-8")
    place = text.rindex(_BEFORE)
    model.write_text(text[:place] + _COLUMN + text[place:], encoding="utf-8")


def _revision(folder: Path, scratch: Path, *more: str) -> tuple[float, subprocess.CompletedProcess[str]]:
    arguments = ["db", "revision", "logs", "-m", "add session id to system logs", "--scratch", str(scratch), *more]
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "headhunter", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder), "COLUMNS": "160"},
        capture_output=True,
        text=True,
        check=False,
    )
    return time.perf_counter() - began, done


def _await_end(scratch: Path) -> None:
    deadline = time.monotonic() + 20
    while (scratch / "server" / "data").exists() and time.monotonic() < deadline:
        time.sleep(0.1)


if __name__ == "__main__":
    main()
