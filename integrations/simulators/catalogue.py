"""Finds the simulated vendors: each lives in its provider's folder.

A provider's `simulator.py` has `simulator`, the class, and `connection(url)`, what a hotel would enter to connect to it.
"""

import importlib
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from integrations.services import registry
from integrations.simulators.server import Simulator


@dataclass(frozen=True, slots=True)
class SimulatedVendor:
    slug: str
    simulator: Callable[[], Simulator]
    connection: Callable[[str], dict[str, Any]]
    """Address of the running simulator -> the body that connects a hotel to it."""


def simulated_vendors() -> list[SimulatedVendor]:
    """Return the vendors that have a simulator, in alphabetical order."""
    found = []
    for slug, provider in registry.providers().items():
        name = provider.__module__.rpartition(".")[0] + ".simulator"
        if importlib.util.find_spec(name):
            module = importlib.import_module(name)
            found.append(SimulatedVendor(slug, module.simulator, module.connection))
    return found
