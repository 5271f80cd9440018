"""
Runs and checks any Alembic environment on PostgreSQL: one migrator at a time, nothing half done, no drift unseen.

`environment` describes an environment, `run_env` is all of its env.py, `upgrade` is the start of a process that needs
the head, `ops` what revisions may use, `status` and `downgrade` serve operators. The rest serves these.
"""
