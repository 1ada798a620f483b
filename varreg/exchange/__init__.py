"""Transforms of other tools: read as :class:`varreg.Transform`, written so that the tool applies them.

See ``docs/exchange.md`` for the formats, their spaces and what each writer guarantees.
"""
