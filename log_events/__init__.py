"""The contract between producers of log events and the worker: structs, wire format, Redis keys and scripts."""
