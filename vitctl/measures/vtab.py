"""VTAB's 19 tasks, their groups, and the means over them.

Zhai et al., "A Large-scale Study of Representation Learning with the Visual Task Adaptation
Benchmark" (https://arxiv.org/abs/1910.04867), section 3 and table 2. A model's VTAB score is the
mean over the 19 tasks; newer work often gives the mean of the three groups' means, which weighs the
4 specialized tasks as much as the 8 structured ones. Other datasets form a group of their own, in
neither mean.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, get_args

VtabGroup = Literal["natural", "specialized", "structured"]
Group = Literal["natural", "specialized", "structured", "other"]
GROUPS: tuple[Group, ...] = get_args(Group)

_NAMES: dict[VtabGroup, dict[str, tuple[str, ...]]] = {
    "natural": {
        "caltech101": (),
        "cifar-100": (),
        "dtd": ("describable-textures",),
        "flowers102": ("oxford-flowers102",),
        "pets": ("oxford-iiit-pet", "oxford-iiit-pets", "oxford-pets"),
        "sun397": (),
        "svhn": ("svhn-cropped",),
    },
    "specialized": {
        "patch-camelyon": ("pcam",),
        "eurosat": (),
        "resisc45": (),
        "retinopathy": ("diabetic-retinopathy", "diabetic-retinopathy-detection"),
    },
    "structured": {
        "clevr-count": ("clevr-count-all",),
        "clevr-distance": ("clevr-dist", "clevr-closest-object-distance"),
        "dmlab": (),
        "kitti-distance": ("kitti", "kitti-dist", "kitti-closest-vehicle-distance"),
        "dsprites-location": ("dsprites-loc", "dsprites-label-x-position"),
        "dsprites-orientation": ("dsprites-ori", "dsprites-label-orientation"),
        "smallnorb-azimuth": ("smallnorb-azi", "smallnorb-label-azimuth"),
        "smallnorb-elevation": ("smallnorb-ele", "smallnorb-label-elevation"),
    },
}
"""Task -> other names of it, those of TensorFlow Datasets and of VTAB's own code among them. Case,
hyphens and underscores make no difference."""


@dataclass(frozen=True)
class Task:
    """What a dataset is in VTAB, or a dataset that is none of its tasks."""

    name: str
    group: Group


TASKS: Mapping[str, Task] = MappingProxyType(
    {name: Task(name, group) for group, names in _NAMES.items() for name in names}
)


def _plain(name: str) -> str:
    return "".join(filter(str.isalnum, name.lower()))


_BY_NAME = {
    _plain(alias): TASKS[name]
    for names in _NAMES.values()
    for name, aliases in names.items()
    for alias in (name, *aliases)
}


def task_named(name: str) -> Task | None:
    """The task of that name.

    >>> task_named("oxford_iiit_pet")
    Task(name='pets', group='natural')
    """
    return _BY_NAME.get(_plain(name))


_SHORTEST = 4
"""Letters by which a name says what it is: a dataset called c is not half of caltech101."""


def tasks_within(name: str) -> list[Task]:
    """The tasks that are made of images of that name: smallnorb has two."""
    begin = _plain(name)
    if len(begin) < _SHORTEST:
        return []
    return [task for task in TASKS.values() if _plain(task.name).startswith(begin)]


@dataclass(frozen=True)
class Means:
    """Means of accuracies in 0..1.

    Attributes:
      groups: of each group that has a task, in the order of `GROUPS`.
      tasks: over VTAB's tasks, each alike; None without one.
      of_groups: over the means of VTAB's groups, each alike; None unless all three have a task.
      missing: tasks of VTAB that have no accuracy; without any the mean is the VTAB score.
    """

    groups: Mapping[Group, float]
    tasks: float | None
    of_groups: float | None
    missing: tuple[str, ...]


def means(accuracies: Iterable[tuple[Task, float]]) -> Means:
    """The means of tasks with their accuracies, of which each task has one."""
    pairs = list(accuracies)
    by_group = {
        group: own for group in GROUPS if (own := [a for task, a in pairs if task.group == group])
    }
    groups = {group: sum(own) / len(own) for group, own in by_group.items()}
    vtab = [accuracy for task, accuracy in pairs if task.name in TASKS]
    own_groups = [mean for group, mean in groups.items() if group != "other"]
    complete = len(own_groups) == len(_NAMES)
    present = {task.name for task, _ in pairs}
    return Means(
        groups=groups,
        tasks=sum(vtab) / len(vtab) if vtab else None,
        of_groups=sum(own_groups) / len(own_groups) if complete else None,
        missing=tuple(name for name in TASKS if name not in present),
    )
