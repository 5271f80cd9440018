"""
Rules that are switched off for a revision, each with its reason.

A comment in the revision, `# lint: allow RULE - reason`; for landed ones, and for an environment as a whole, a line in
`<environment's folder>/lint.toml`: a table for each revision, `[environment]` for all, `RULE = "reason"`.
"""

from __future__ import annotations

import re
import tomllib
from typing import TYPE_CHECKING

from migrator.authoring.findings import Finding
from migrator.errors import EnvironmentFilesError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from migrator.authoring.chain import RevisionFile
    from migrator.environment import Environment

_COMMENT = re.compile(r"#\s*lint:\s*allow\s+(?P<rule>[\w-]+)(?:\s+-\s+(?P<reason>\S.*))?")
EVERYWHERE = "environment"


def read_allowances(environment: Environment) -> dict[str, dict[str, str]]:
    """
    Return the reasons by revision and rule that lint.toml holds; empty where there is no such file.

    Raises:
        EnvironmentFilesError: It is no TOML, or an allowance has no reason.
    """
    path = environment.folder / "lint.toml"
    if not path.exists():
        return {}
    try:
        held = tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise EnvironmentFilesError(f"{path} is not TOML: {error}. Correct it.") from error
    for name, allowed in held.items():
        for rule, reason in allowed.items() if isinstance(allowed, dict) else [("", "")]:
            if not (isinstance(reason, str) and reason.strip()):
                raise EnvironmentFilesError(
                    f'{path} allows {rule or "something"} for {name} without a reason. Write RULE = "reason" below a '
                    "line with the revision in brackets."
                )
    return held


def allowed(findings: Iterable[Finding], file: RevisionFile, held: Mapping[str, Mapping[str, str]]) -> list[Finding]:
    """Return the findings that no allowance silences, and one for each allowance of the revision that is of no use."""
    findings = list(findings)
    kept: list[Finding] = []
    comments: dict[str, str] = {}
    for match in _COMMENT.finditer(file.source):
        if match["reason"]:
            comments[match["rule"]] = match["reason"]
        else:
            message = f"{match['rule']} is allowed without a reason. Write `# lint: allow {match['rule']} - reason`."
            kept.append(Finding(file.revision, "allowance-without-reason", message))
    own = {**held.get(file.revision, {}), **comments}
    kept += [one for one in findings if one.rule not in own and one.rule not in held.get(EVERYWHERE, {})]
    useless = own.keys() - {one.rule for one in findings}
    return kept + [
        Finding(file.revision, "unused-allowance", f"Nothing in it breaks the rule {rule}. Take the allowance out.")
        for rule in sorted(useless)
    ]
