"""squawk, run on a revision's SQL; see https://squawkhq.com for its rules."""

from __future__ import annotations

import json
import shutil
import subprocess
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from migrator.authoring.findings import Finding, LintRules, shortened
from migrator.errors import PermanentError

if TYPE_CHECKING:
    from collections.abc import Mapping

# What `run_env` sets before each revision, so that squawk does not ask for it.
_PRELUDE = "SET lock_timeout = '4s';\nSET statement_timeout = '4s';\n"

#: Rules of squawk that ours decide instead, because ours know types, partitions and what the revision made itself.
SUPERSEDED: Final[Mapping[str, str]] = {
    "adding-field-with-default": "volatile-default",
    "adding-foreign-key-constraint": "add-foreign-key",
    "adding-not-nullable-field": "set-not-null",
    "adding-required-field": "add-required-column",
    "adding-serial-primary-key-field": "add-identity",
    "ban-concurrent-index-creation-in-transaction": "concurrently-in-transaction",
    "ban-drop-column": "drop-column",
    "ban-drop-database": "drop-table",
    "ban-drop-schema": "drop-table",
    "ban-drop-table": "drop-table",
    "ban-truncate-cascade": "truncate",
    "ban-detach-inheritance": "detach-inheritance",
    "changing-column-type": "type-change",
    "constraint-missing-not-valid": "add-check, add-foreign-key, validate-apart",
    "disallowed-unique-constraint": "add-unique",
    "prefer-repack": "table-rewrite",
    "renaming-column": "rename-column",
    "renaming-table": "rename-table",
    "require-concurrent-index-creation": "index-blocks-writers",
    "require-concurrent-index-deletion": "drop-index",
    "require-concurrent-partition-detach": "detach-partition",
    "require-concurrent-reindex": "table-rewrite",
    "require-lock-timeout": "time-out-switched-off",
    "require-statement-timeout": "time-out-switched-off",
    "require-timeout-settings": "time-out-switched-off",
    "transaction-nesting": "transaction-control",
    "ban-uncommitted-transaction": "transaction-control",
    "unused-ignore": "unused-allowance",
    "ban-disable-trigger": "guard-switched",
    "ban-alter-row-level-security": "guard-switched",
    "ban-new-write-restriction": "add-trigger",
}
#: Rules of squawk that are not asked: they forbid what is the safe way here, or what every revision does.
NOT_WANTED: Final[Mapping[str, str]] = {
    "ban-add-column": "adding a column that may be null is the safe way to change a table",
    "ban-add-enum-value": "adding a value with its place is the safe way to change an enum",
    "ban-drop-index": "dropping an index concurrently is safe",
    "ban-set-default": "a new default touches no row",
    "prefer-robust-stmts": "a revision is one transaction, and IF NOT EXISTS keeps what is wrong, as an INVALID index",
}
#: Rules that squawk asks only when it is told to.
INCLUDED: Final = (
    "ban-add-composite-attribute",
    "ban-alter-database-options",
    "ban-alter-extension",
    "ban-alter-function-options",
    "ban-alter-generated-expression",
    "ban-alter-policy-condition",
    "ban-alter-policy-roles",
    "ban-alter-role-options",
    "ban-alter-sequence-values",
    "ban-alter-system-options",
    "ban-alter-view-options",
    "ban-create-policy",
    "ban-drop-policy",
    "ban-drop-trigger",
    "ban-replace-view-function",
    "ban-replica-identity",
    "ban-revoke",
    "require-table-schema",
)


def squawk_findings(revision: str, text: str, rules: LintRules) -> list[Finding]:
    """
    Return what squawk has against the SQL in *text*.

    Raises:
        PermanentError: squawk is not installed, or did not answer.
    """
    if not text.strip():
        return []
    command = [_program(), "--reporter", "json", "--pg-version", f"{rules.postgres_major}.0", "--assume-in-transaction"]
    for rule in (*SUPERSEDED, *NOT_WANTED):
        if rule != "unused-ignore":
            command += ["--exclude", rule]
    for rule in INCLUDED:
        command += ["--include", rule]
    sql = _PRELUDE + text
    done = subprocess.run(command, input=sql, capture_output=True, text=True, check=False, cwd=Path(__file__).parent)
    try:
        found: list[dict[str, Any]] = json.loads(done.stdout)
    except ValueError:
        raise PermanentError(
            f"squawk did not answer in JSON: {shortened(done.stderr or done.stdout, 300)}. Nothing was judged."
        ) from None
    lines = sql.splitlines()
    return [
        Finding(
            revision,
            str(one["rule_name"]),
            " ".join(filter(None, [one["message"], one.get("help")])),
            shortened(lines[one["line"]]) if one["line"] < len(lines) else "",
        )
        for one in found
    ]


def _program() -> str:
    beside = Path(sysconfig.get_path("scripts")) / "squawk"
    found = str(beside) if beside.exists() else shutil.which("squawk")
    if found is None:
        raise PermanentError("squawk is not installed, so no revision can be judged. Install the package squawk-cli.")
    return found
