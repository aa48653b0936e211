"""Keeps agents as their files are while the platform runs: a new or changed file is registered, the agent of a deleted
file is retired.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path

from factory.agents.files import LoadCatalog, agent_paths, read_agent, register
from factory.domain.principal import PLATFORM
from factory.errors import InvalidInput
from factory.services import Services
from factory.store import agents

LOOK_S = 2.0

Stamp = tuple[int, int, int]
"""Changes whenever a file is written or replaced."""

log = logging.getLogger(__name__)


class AgentFiles:
    """Watches AGENTS_DIR. Several programs may do so: registering a file twice changes nothing.

    Retires only agents whose file this program has seen: one that was started with another directory, such as that of
    an older release, knows nothing about the files of this one.
    """

    def __init__(self, services: Services, load_catalog: LoadCatalog) -> None:
        self._services = services
        self._load_catalog = load_catalog
        self._directory = Path(services.settings.agents_dir)
        self._stamps: dict[Path, Stamp] = {}
        self._names: dict[Path, str] = {}

    def tick(self) -> float:
        """Looks once; gives how many seconds to wait before the next time. Raises Unavailable."""
        found = self._look()
        for path in [path for path, stamp in found.items() if self._stamps.get(path) != stamp]:
            self._register(path)
            self._stamps[path] = found[path]
        self._retire(found)
        return LOOK_S

    def _look(self) -> Mapping[Path, Stamp]:
        stamps = {}
        for path in agent_paths(self._directory):
            try:
                stat = path.stat()
            except OSError:
                continue  # it was deleted meanwhile
            stamps[path] = stat.st_mtime_ns, stat.st_size, stat.st_ino
        return stamps

    def _register(self, path: Path) -> None:
        """A file that cannot be used changes nothing: its agent stays as it was."""
        try:
            found = read_agent(path)
            with self._services.database.transaction(PLATFORM) as tx:
                changed = register(tx, found, self._load_catalog)
        except InvalidInput as error:
            log.error("an agent's file cannot be used, the agent stays as it is: %s", error)
            return
        self._names[path] = found.spec.name
        if changed:
            log.info("agent %s is registered from %s", found.spec.name, path)

    def _retire(self, found: Mapping[Path, Stamp]) -> None:
        gone = {path: name for path, name in self._names.items() if path not in found}
        kept = {name for path, name in self._names.items() if path in found}
        names = [name for name in gone.values() if name not in kept]
        if names:
            with self._services.database.transaction(PLATFORM) as tx:
                agents.retire(tx, names)
            log.info("agents are retired, their files are gone: %s", ", ".join(names))
        for path in gone:
            del self._names[path]
        self._stamps = {path: stamp for path, stamp in self._stamps.items() if path in found}
