"""The built-in digits: a whole and a part of them have fingerprints of their own, and keep them."""

from __future__ import annotations

from vitctl.ingest.sources.digits import list_digits


def test_taking_every_class_changes_nothing():
    digits = list_digits()
    assert digits.only(set(digits.classes)).fingerprint == digits.fingerprint
    assert digits.only({"0", "1"}).fingerprint != digits.fingerprint
