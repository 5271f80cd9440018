"""A new revision, from the models to a file that is formatted, linted, run both ways and entered everywhere."""

from __future__ import annotations

import logging
import re
import subprocess
import sysconfig
import textwrap
from argparse import Namespace
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from alembic import command

from migrator.authoring.chain import Chain, RevisionFile, read_chain, read_file
from migrator.authoring.drafting import Draft, Drafter
from migrator.authoring.lint import Finding, LintRules, lint_revision
from migrator.authoring.lock_trace import BLOCKS_WRITES, strongest_locks
from migrator.authoring.offline_sql import upgrade_sql
from migrator.authoring.round_trip import RoundTrip, go_round
from migrator.authoring.seals import seal
from migrator.classifier import sentence
from migrator.configuration import alembic_config
from migrator.errors import MigratorError, PermanentError
from migrator.fingerprint import fingerprint_path, rendered
from migrator.lineage import floors_of

if TYPE_CHECKING:
    from migrator.authoring.scratch import Scratch
    from migrator.environment import Environment

logger = logging.getLogger(__name__)

DEFAULT_ROWS = 1000
_WIDTH = 118
_IDEMPOTENT = "\n# Broken off at any point and run again, it goes on from what the catalog shows.\nidempotent = True"


@dataclass
class NewRevision:
    """
    One revision that was written.

    Args:
        file: Its file.
        sql: What it will run; empty where it cannot be rendered, which `problems` then tells.
        findings: What the rules say against it.
        trip: What it did on rows.
        problems: What is wrong with it otherwise, a sentence each.
    """

    file: RevisionFile
    sql: str
    findings: list[Finding]
    trip: RoundTrip
    problems: list[str]

    @property
    def is_sound(self) -> bool:
        """Whether nothing speaks against committing it."""
        return not (self.findings or self.problems or self.trip.problems)


def create_revision(
    environment: Environment,
    message: str,
    scratch: Scratch,
    *,
    empty: bool = False,
    rows: int = DEFAULT_ROWS,
    why: str | None = None,
    rules: LintRules | None = None,
) -> list[NewRevision]:
    """
    Write what brings the database to the models as revisions; return them, in order, none where nothing changed.

    HEAD.txt names the last one, each has its fingerprint, and what they build upon is sealed. A revision that is not
    sound stays for its author to correct; `inspect_revision` judges it again.

    Args:
        environment: Whose.
        message: What it does, in the imperative: it becomes the title and the file's name.
        scratch: Where it is tried.
        empty: Write a revision with nothing in it, for its author to fill.
        rows: How many rows each table gets for the trial.
        why: The reason, for the docstring.
        rules: What lint has to know.

    Raises:
        MigratorError: The chain is not in order, or its revisions do not run; nothing was written.
    """
    chain = read_chain(environment)
    title = message.strip().rstrip(".")
    title = title[:1].upper() + title[1:]
    drafter = Drafter()
    paths = _written(chain, title, scratch, None if empty else drafter)
    drafts = {draft.revision: draft for draft in drafter.drafts}
    for file in map(read_file, paths):
        _fill_in(
            chain, file, drafts.get(file.revision), why or f"the models ask for it: {title[:1].lower()}{title[1:]}"
        )
        _format(file.path)
        (environment.folder / "HEAD.txt").write_text(f"{file.revision}\n", encoding="utf-8")
    if not paths:
        return []
    seal(environment, chain.revisions)
    revisions = [read_file(path).revision for path in paths]
    made: list[NewRevision] = []
    for revision in revisions:
        # Read each time, because the docstring of the one before was filled in meanwhile.
        chain = read_chain(environment)
        made.append(inspect_revision(chain, revision, scratch, rows=rows, rules=rules, fill_in=True))
        if not made[-1].is_sound:
            break
    return made


def inspect_revision(
    chain: Chain,
    revision: str,
    scratch: Scratch,
    *,
    rows: int = DEFAULT_ROWS,
    rules: LintRules | None = None,
    fill_in: bool = False,
) -> NewRevision:
    """
    Judge one revision: its SQL, lint, and a way up, down and up; keep its fingerprint.

    With *fill_in* the docstring's empty section on locks gets what was measured.

    Raises:
        MigratorError: What it builds upon does not run.
    """
    file = chain.get(revision)
    problems: list[str] = []
    trip = go_round(scratch, chain, file, rows)
    if fill_in:
        _fill_in_locks(file.path, trip, rows)
        _format(file.path)
        file = read_file(file.path)
    if trip.fingerprint is not None and not trip.problems:
        path = fingerprint_path(chain.environment, file.revision)
        path.parent.mkdir(exist_ok=True)
        path.write_text(rendered(trip.fingerprint), encoding="utf-8")
    try:
        text = upgrade_sql(chain.environment, file)
    except MigratorError as error:
        text = ""
        problems.append(str(error))
    findings = lint_revision(chain, file, rules or LintRules())
    return NewRevision(file, text, findings, trip, problems)


def _written(chain: Chain, title: str, scratch: Scratch, drafter: Drafter | None) -> list[Path]:
    head = chain.head.revision if chain.head else None
    with scratch.database(chain, head) as url:
        config = alembic_config(chain.environment, url=url)
        # Quiet: what is to be said of the file is said once it is judged.
        config.cmd_opts = Namespace(quiet=True)
        try:
            made = command.revision(
                config,
                title,
                autogenerate=drafter is not None,
                process_revision_directives=drafter,
                head=head or "base",
            )
        except MigratorError:
            raise
        except Exception as error:
            raise PermanentError(
                f"Autogenerate cannot compare the models of the {chain.environment.name} environment with the "
                f"database: {sentence(error)}. Nothing was written. Correct the models or env.py."
            ) from error
    scripts = made if isinstance(made, list) else [made]
    return [Path(script.path) for script in scripts if script is not None]


def _fill_in(chain: Chain, file: RevisionFile, draft: Draft | None, why: str) -> None:
    """Fill the template's empty places: Why, Rollback, and the oldest head whose code still works."""
    text = re.sub(r"^ *# ### .* ###\n", "", file.source, flags=re.MULTILINE)
    text = _section(text, "Why", why.rstrip(". ") + ".")
    if draft is not None:
        losing = f"loses {' and '.join(draft.loses)}, so it is refused without ``-x lose-data=yes``."
        text = _section(text, "Rollback", losing if draft.loses else "nothing is lost.")
        floor = _floor(chain) if draft.is_additive else file.revision
        said = f'compatible_with = "{floor or file.revision}"' + (_IDEMPOTENT if draft.is_idempotent else "")
        text = re.sub(r"^compatible_with = .*$", said, text, flags=re.MULTILINE)
    file.path.write_text(text, encoding="utf-8")


def _fill_in_locks(path: Path, trip: RoundTrip, rows: int) -> None:
    locks = strongest_locks(trip.statements)
    told = "; ".join(map(str, locks)) or "none that anybody waits for"
    measured = f", measured on {rows:,} rows a table" if any(lock.mode in BLOCKS_WRITES for lock in locks) else ""
    rewritten = sorted({table for one in trip.statements for table in one.rewrites})
    also = f" It rewrites {', '.join(rewritten)}." if rewritten else ""
    path.write_text(_section(path.read_text(encoding="utf-8"), "Locks", f"{told}{measured}.{also}"), encoding="utf-8")


def _section(text: str, name: str, content: str) -> str:
    """Write *content* behind the docstring's `name:` where nothing stands there yet."""
    wrapped = textwrap.fill(f"{name}: {content}", _WIDTH, subsequent_indent="    ", break_on_hyphens=False)
    return re.sub(rf"^{name}:[ ]*$", lambda _: wrapped.replace("\\", "\\\\"), text, count=1, flags=re.MULTILINE)


def _floor(chain: Chain) -> str | None:
    """Return the oldest revision whose code works on the chain's head."""
    declared = {file.revision: file.compatible_with for file in chain.revisions}
    return floors_of([*declared], declared)[chain.head.revision] if chain.head else None


def _format(path: Path) -> None:
    """Let ruff, where it is installed, take out unused imports and lay the file out."""
    program = Path(sysconfig.get_path("scripts")) / "ruff"
    if not program.exists():
        return
    for arguments in (["check", "--fix", "--exit-zero", "--select", "I,F401"], ["format"]):
        done = subprocess.run(
            [program, *arguments, "--quiet", path], cwd=path.parent, capture_output=True, text=True, check=False
        )
        if done.returncode:
            logger.warning("ruff could not format a revision", extra={"event": "format_failed", "reason": done.stderr})
