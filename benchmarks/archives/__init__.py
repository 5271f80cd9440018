"""Passes of retention that archive, and are killed."""
