"""The health checks: one subject a file, each a function that answers within its deadline or is reported as hung."""
