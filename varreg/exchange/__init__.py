"""Reading and writing of transforms of other tools.

See ``docs/exchange.md`` for the formats, their spaces and the guarantees of each writer.
"""
