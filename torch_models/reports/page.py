"""Pages of HTML that need no network, all with one skeleton, one look and one set of filters.

Their templates lie in ``templates`` beside this file; those of a page that another package makes
lie in a folder of that name of its own, and extend ``page.html``.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping

from sparsity_theory._extras import needs


def rendered(template: str, package: str = "torch_models.reports", **content: object) -> str:
    """Fill in a template of a package; all text is escaped that a template does not call safe.

    Raises:
        ModuleNotFoundError: naming the extra to install, if there is no Jinja2.
        jinja2.UndefinedError: if the template names what is not in ``content``.
    """
    try:
        from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
    except ModuleNotFoundError as missing:
        raise needs("the page", "jinja2") from missing
    packages = dict.fromkeys((package, "torch_models.reports"))
    environment = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        loader=ChoiceLoader([PackageLoader(each) for each in packages]),
    )
    return environment.get_template(template).render(content)


def anchors(ids: Iterable[str]) -> dict[str, str]:
    """For each id a different name for links: ``eq-17`` for ``Eq. 17``."""
    found: dict[str, str] = {}
    for name in ids:
        plain = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
        taken = sum(other == plain or other.startswith(f"{plain}--") for other in found.values())
        found[name] = f"{plain}--{taken + 1}" if taken else plain
    return found


def choices(values: Iterable[str], order: Iterable[str]) -> Mapping[str, int]:
    """What a filter offers: each value that is there, in this order, with how often it is."""
    seen = Counter(values)
    return {value: seen[value] for value in dict.fromkeys(order) if value and seen[value]}
