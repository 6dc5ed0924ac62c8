"""People, hotels, and a vendor that offers everything and calls nobody."""

from integrations.tests.conftest import *  # noqa: F403
