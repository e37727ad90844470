"""Text that a command writes between two marks of a page that people write."""

from __future__ import annotations


def between(page: str, begin: str, end: str, text: str) -> str:
    """``page`` with ``text``, and an empty line before and after it, between the two marks."""
    before, _, rest = page.partition(begin)
    _, _, after = rest.partition(end)
    return f"{before}{begin}\n\n{text.strip()}\n\n{end}{after}"
