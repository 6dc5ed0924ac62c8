"""What the tests of this app share."""

from hotels.tests.people import *  # noqa: F403
