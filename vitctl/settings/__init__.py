"""Typed settings: the base of every Config, and what a user sets on it.

config     the base of every Config: frozen, typed, closed to unknown fields
overrides  `--config FILE.toml`, flags and `--set key=value`, put onto a typed Config
trees      settings as nested tables: dotted keys, layers on top of each other
"""
