"""The document around a page: its head, style and script, and the policy that allows no others."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

from vitctl.report.html import Content, Html, element
from vitctl.version import __version__

GENERATOR = "vitctl report"
"""By which a page is known to be one of ours."""
_FOLDER = Path(__file__).parent


def document(title: str, body: Content) -> bytes:
    """A file of HTML that loads nothing: browsers run this script alone, which the policy names."""
    style, script = _file("page.css"), _file("page.js")
    policy = (
        f"default-src 'none'; img-src data:; style-src {_hash(style)}; script-src {_hash(script)}; "
        "base-uri 'none'; form-action 'none'"
    )
    head = element(
        "head",
        element("meta", charset="utf-8"),
        Html(f'<meta http-equiv="Content-Security-Policy" content="{policy}">'),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="generator", content=f"{GENERATOR} {__version__}"),
        element("meta", name="color-scheme", content="light dark"),
        element("meta", name="referrer", content="no-referrer"),
        element("title", title),
        element("style", Html(style)),
    )
    whole = element("body", body, element("script", Html(script)))
    page = element("html", head, whole, lang="en")
    return f"<!doctype html>\n{page}\n".encode()


def _file(name: str) -> str:
    return (_FOLDER / name).read_text("utf-8")


def _hash(text: str) -> str:
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return f"'sha256-{digest}'"
