"""VTAB's tasks by any of their names, and the means over them."""

from __future__ import annotations

from collections import Counter

import pytest

from vitctl.measures import vtab
from vitctl.measures.vtab import TASKS, Task, means, task_named, tasks_within


def test_nineteen_tasks_in_three_groups():
    counts = Counter(task.group for task in TASKS.values())
    assert counts == {"natural": 7, "specialized": 4, "structured": 8}


@pytest.mark.parametrize(
    ("name", "task"),
    [
        ("oxford_iiit_pet", "pets"),
        ("CIFAR-100", "cifar-100"),
        ("cifar100", "cifar-100"),
        ("oxford_flowers102", "flowers102"),
        ("diabetic_retinopathy_detection", "retinopathy"),
        ("svhn_cropped", "svhn"),
        ("kitti", "kitti-distance"),
        ("smallnorb_label_azimuth", "smallnorb-azimuth"),
        ("clevr", None),
        ("cifar-10", None),
        ("", None),
    ],
)
def test_names(name, task):
    assert task_named(name) == (None if task is None else TASKS[task])


def test_no_name_is_of_two_tasks():
    names = [
        vtab._plain(alias)
        for tasks in vtab._NAMES.values()
        for name, aliases in tasks.items()
        for alias in (name, *aliases)
    ]
    assert len(names) == len(set(names)) == len(vtab._BY_NAME)


def test_images_that_several_tasks_share():
    assert [task.name for task in tasks_within("smallNORB")] == [
        "smallnorb-azimuth",
        "smallnorb-elevation",
    ]
    assert tasks_within("photos") == tasks_within("-") == tasks_within("c") == []


def test_means_of_some_tasks():
    other = Task("x-rays", "other")
    over = means([(other, 0.1), (TASKS["svhn"], 0.5), (TASKS["pets"], 0.9), (TASKS["dmlab"], 0.4)])
    assert list(over.groups) == ["natural", "structured", "other"]
    assert over.groups == pytest.approx({"natural": 0.7, "structured": 0.4, "other": 0.1})
    assert over.tasks == pytest.approx(0.6)
    assert over.of_groups is None
    assert len(over.missing) == 16


def test_means_of_all_tasks():
    over = means([(task, 0.1 * (i % 5)) for i, task in enumerate(TASKS.values())])
    assert over.missing == ()
    assert over.tasks == pytest.approx(sum(0.1 * (i % 5) for i in range(19)) / 19)
    assert over.of_groups == pytest.approx(sum(over.groups.values()) / 3)
    assert means([(Task("x-rays", "other"), 0.1)]).tasks is None
