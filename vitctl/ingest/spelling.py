"""One spelling of a name: macOS writes é as two characters (NFD), other systems as one (NFC)."""

from __future__ import annotations

import unicodedata


def nfc(name: str) -> str:
    return unicodedata.normalize("NFC", name)
