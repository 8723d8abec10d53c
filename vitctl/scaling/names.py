"""The words for choices. Imports nothing heavy: command lines and configurations use them."""

from __future__ import annotations

from typing import Literal

Form = Literal["saturating", "floor", "shift", "power"]
FrontierRule = Literal["running-minimum", "hull", "all"]
Parameter = Literal["a", "b", "c", "d"]
Resampling = Literal["rows", "residuals"]
Space = Literal["error", "log"]
Unit = Literal["percent", "fraction"]
