"""docker-compose.yml, by compose's own parser with its schema, and by our rules."""

from __future__ import annotations

from deploy.validate.composition import FILE, OWN_SERVERS, faults, filled_template, rendered
from deploy.validate.tools import Invalid, Tools


def check(tools: Tools) -> None:
    """Raises Invalid for what compose refuses, or what breaks a rule."""
    found = list(faults(rendered(tools, filled_template()), tools.root))
    if found:
        raise Invalid(f"{FILE}\n" + "\n".join(found))
    urls = {"DATABASE_URL": "postgresql://u@db/x", "REDIS_URL": "redis://cache/0"}
    rendered(tools, filled_template(**urls), files=(FILE, OWN_SERVERS))
