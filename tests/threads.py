"""Many threads at the same thing at the same moment."""

import threading
from collections.abc import Callable

from django.db import connections


def at_once(number: int, work: Callable[[], object]) -> list[BaseException]:
    """Run `work` in so many threads that start together, each with database connections of its own; return what they raised."""
    barrier, failures = threading.Barrier(number), []

    def run() -> None:
        try:
            barrier.wait()
            work()
        except BaseException as error:
            failures.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run) for _ in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return failures
