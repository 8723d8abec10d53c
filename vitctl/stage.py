"""What every stage is made of.

    Config   (vitctl.settings.config)  decides the result; fingerprinted
    Inputs   (each stage's)   the artifacts it reads
    Runtime  (below)          where and how fast; never changes a result, never fingerprinted

and one function `run(cfg, inputs, *, store, runtime, emit) -> Artifact`, silent by default.
"""

from __future__ import annotations

from pathlib import Path

from vitctl.places import ObjectPath
from vitctl.settings.config import Config


class Runtime(Config):
    """Where a result goes. Stages add how fast: workers, devices, cadence of logs.

    name   names the folder under the store; None takes the stage's own word
    out    the exact folder instead of a place in the store
    force  make it again although it is there
    """

    name: str | None = None
    out: Path | ObjectPath | None = None
    force: bool = False


class ReadsImages(Runtime):
    """Of stages that read a dataset's records.

    cache_dir  copies of shards on this machine's disk go there; None makes none, but of datasets
               in a bucket, which go to the user's cache folder
    """

    cache_dir: Path | None = None
