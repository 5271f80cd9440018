"""
Add composite indexes for system_logs.

Revision ID: 3b5f7a8c9d2e
Revises: ccb0d9fd7e5b
Create Date: 2026-11-24 23:14 UTC

It changes nothing, on purpose.  system_logs and its indexes (idx_system_logs_level_created and its two companions)
belong to the logs database and are made by the chain in logs_db/versions; databases that carry this id are deployed,
so the revision stays for the integrity of the chain.

Why: keeps the chain whole for every database that has passed here.
Locks: none.
Rollback: nothing to undo, nothing is lost.
"""

revision = "3b5f7a8c9d2e"
down_revision = "ccb0d9fd7e5b"
branch_labels = None
depends_on = None
# The oldest head whose code still works on this schema.
compatible_with = "c181b00c0dd8"


def upgrade() -> None:
    pass


def downgrade() -> None:
    pass
