"""What holds of every page: one file, no script, nothing fetched, ids that are unique and found."""

from __future__ import annotations

import re
from collections import Counter
from html.parser import HTMLParser

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
_VOID = {"meta", "br", "hr", "img", "input", "link"}


class Page(HTMLParser):
    """A page's elements, read strictly: every element that is opened is closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: Counter[str] = Counter()
        self.ids: Counter[str] = Counter()
        self.addresses: list[str] = []
        self.policy = ""
        self.text: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._add(tag, dict(attrs))
        if tag not in _VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._add(tag, dict(attrs))

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open[-1] == tag, f"</{tag}> closes {self.open[-3:]}"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    def _add(self, tag: str, attributes: dict[str, str | None]) -> None:
        self.elements[tag] += 1
        if identifier := attributes.get("id"):
            self.ids[identifier] += 1
        self.addresses += [value for key in ("href", "xlink:href", "src") if (value := attributes.get(key))]
        if attributes.get("http-equiv") == "Content-Security-Policy":
            self.policy = attributes["content"] or ""


def check_page(text: str, most_bytes: int) -> Page:
    """Check a page, and return it."""
    page = Page(text)
    assert not page.open
    assert page.policy == POLICY
    assert not page.elements["script"] and " on" not in re.findall(r"<\w+( on)\w+=", text)
    assert len(text.encode()) <= most_bytes
    assert not [name for name, count in page.ids.items() if count > 1]
    for address in page.addresses:
        assert address.startswith(("data:", "#")) or not re.match(r"\w+:", address), address
        assert not address.startswith("#") or address[1:] in page.ids, address
    for address in re.findall(r"url\(#([^)]+)\)", text):
        assert address in page.ids
    assert "#0072b2" not in text.lower(), "a figure's colour is not the page's"
    assert not re.search(r"\b(None|nan|inf)\b", " ".join(page.text))
    return page
