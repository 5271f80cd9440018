"""The HTTP side of the log store: liveness, readiness and health, and pages of logs for admins."""
