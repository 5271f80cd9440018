"""
Writing a revision without a database of one's own: draft, lint, lock trace, round trip, rehearsal, rebase.

An extra: it starts throw-away servers and runs squawk and ruff, and the rest of `migrator` never imports it.
"""
