"""What `vitctl embed` reads, decides and makes: its version, settings and inputs."""

from __future__ import annotations

from vitctl.recipes import embedding
from vitctl.recipes.embedding import EmbedConfig as EmbedConfig
from vitctl.recipes.measuring import Measured

VERSION = embedding.VERSION

Inputs = Measured
