"""Brings the logs schema to its head and moves log events into it: receive, decode, write, acknowledge."""
