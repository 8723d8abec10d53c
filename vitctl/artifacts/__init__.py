"""Versioned artifacts on disk: what stages read and write.

    canonical   values -> the one JSON form that is hashed
    documents   JSON documents with a format version
    manifest    artifact.json, typed
    kinds       every kind of artifact, with its typed summary
    files       hashing, atomic small writes, paths that stay inside their folder
    order       by age: of lists, and of what the newest is
    artifact    a finished, immutable directory
    run_info    run.json: recipe, starts, answers, roll-backs
    runs        a growing directory of checkpoints, each a finished artifact
    run_draft   a run that a process holds the lock of, and writes to
    drafts      a directory on its way to being finished
    crew        several processes at one draft or run: process 0 locks, decides and publishes
    staging     files of an artifact on the local disk, for libraries that only read files
    shared_files  files of one artifact that become files of another
    catalog     what lies in a store, found by id, kind, age, or as an input of another
    store       where artifacts are made, under a name and an id
    lookup      a store in which commands find what they would make, and make nothing
    newest      the newest of a kind, and what else there is where that is damaged
    references  how a person or a pipe names an artifact
    inputs      the meaning of a left-out input
    pasteable   command lines for hints, in the current store
    following   what one would do with an artifact next
    ancestry    parents of parents
    descent     who was made from whom, in a whole store
    removal     taking artifacts away, with what only they need
    provenance  where and with what a result was made

An artifact is a directory whose `artifact.json`, written last, means finished.
"""

from vitctl.artifacts.artifact import Artifact
from vitctl.artifacts.drafts import Draft
from vitctl.artifacts.manifest import Manifest, Parent, Recipe
from vitctl.artifacts.runs import Run
from vitctl.artifacts.store import Store

__all__ = ["Artifact", "Draft", "Manifest", "Parent", "Recipe", "Run", "Store"]
