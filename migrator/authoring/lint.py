"""Lint: all rules on one revision, or on an environment with its history."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from migrator.authoring.allowances import allowed, read_allowances
from migrator.authoring.findings import Finding, LintRules
from migrator.authoring.known_schema import schema_before
from migrator.authoring.lint_source import function, is_gentle, judge_source
from migrator.authoring.lint_statements import judge_statements
from migrator.authoring.offline_sql import upgrade_sql
from migrator.authoring.seals import broken_seals
from migrator.authoring.sql_text import statements
from migrator.authoring.squawk import squawk_findings
from migrator.errors import PermanentError

if TYPE_CHECKING:
    from migrator.authoring.chain import Chain, RevisionFile

__all__ = ["Finding", "LintRules", "lint_environment", "lint_revision"]


def lint_environment(chain: Chain, rules: LintRules) -> list[Finding]:
    """Return what is wrong with the revisions of an environment, and whether landed ones were edited."""
    found = [Finding("", "history-edited", sentence) for sentence in broken_seals(chain)]
    for file in chain.revisions:
        found += lint_revision(chain, file, rules)
    return found


def lint_revision(chain: Chain, file: RevisionFile, rules: LintRules) -> list[Finding]:
    """Return what the rules have against one revision and no allowance silences."""
    findings = judge_source(file)
    try:
        text = upgrade_sql(chain.environment, file)
    except PermanentError as error:
        findings.append(Finding(file.revision, "not-offline", str(error)))
    else:
        findings += _judge_sql(chain, file, text, rules)
    known = [one.revision for one in chain.revisions]
    if file.compatible_with is not None and file.compatible_with not in known[: known.index(file.revision) + 1]:
        message = f"compatible_with = {file.compatible_with!r} is not the revision itself nor one before it."
        findings.append(Finding(file.revision, "compatible-with", message))
    return allowed(dict.fromkeys(findings), file, read_allowances(chain.environment))


def _judge_sql(chain: Chain, file: RevisionFile, text: str, rules: LintRules) -> list[Finding]:
    way = function(file.tree, "upgrade")
    if way is not None and any(map(is_gentle, ast.walk(way))):
        # Offline it is rendered as a cruder script; online it has been proven to stop nobody.
        return []
    before = schema_before(chain.environment, file.down_revision)
    parsed = statements(text)
    own = judge_statements(file.revision, parsed, before, rules)
    return [*own, *squawk_findings(file.revision, text, rules)]
