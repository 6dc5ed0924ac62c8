"""Finds the providers: every folder beside this file that has a `provider.py`. Deleting a folder removes the vendor."""

import importlib
import importlib.util
import pkgutil
from functools import lru_cache

from integrations.exceptions import InvalidInput
from integrations.security.keys import declare_personal
from integrations.services.base import Provider
from integrations.services.manifest import Kind

FALLBACK = "generic_rest"


@lru_cache(maxsize=1)
def providers() -> dict[str, type[Provider]]:
    """Return every provider by its slug, in alphabetical order."""
    import integrations.services as services

    found: dict[str, type[Provider]] = {}
    for module in pkgutil.iter_modules(services.__path__):
        if module.ispkg and importlib.util.find_spec(f"{services.__name__}.{module.name}.provider"):
            provider_module = importlib.import_module(f"{services.__name__}.{module.name}.provider")
            provider: type[Provider] = provider_module.provider
            found[provider.manifest.slug] = provider
            declare_personal(provider.manifest.personal)
    return found


def get(slug: str) -> type[Provider]:
    """Return a provider. Raises InvalidInput that lists the known ones."""
    try:
        return providers()[slug]
    except KeyError:
        known = ", ".join(providers())
        raise InvalidInput({"provider": f"“{slug}” is not a provider. Known: {known}."}) from None


def find(provider_name: str, kind: str) -> str:
    """Return the slug of the provider that answers to a name such as "Square POS", else the generic one."""
    name = " ".join(provider_name.lower().replace("-", " ").replace("_", " ").split())
    for slug, provider in providers().items():
        if Kind(kind) in provider.manifest.kinds and name in (slug.replace("_", " "), *provider.manifest.answers_to):
            return slug
    return FALLBACK
