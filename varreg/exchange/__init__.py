"""Transforms of other tools, read and written.

See ``docs/exchange.md`` for the formats, their spaces and what each writer guarantees.
"""
