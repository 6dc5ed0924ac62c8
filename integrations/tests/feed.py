"""Runs a stream whose pages the test writes down, instead of a vendor's."""

import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from integrations.models import Integration, RunMode, SyncRun, Trigger
from integrations.records import Page, Record, StreamQuery
from integrations.services.manifest import DeletesBy, Stream
from integrations.sync import schedule
from integrations.sync.runner import TOGETHER_SECONDS, Runner


class Feed:
    """One integration's stream. `queries` holds what each run asked the stream."""

    def __init__(self, integration: Integration) -> None:
        self.integration = integration
        self.queries: list[StreamQuery] = []

    def run(
        self,
        *pages: Iterable[Record] | Page | Exception,
        stream: str = "menus",
        mode: RunMode = RunMode.FULL,
        deletes_by: DeletesBy = DeletesBy.FULL_COMPARISON,
        confirm_deletions: bool = False,
        types: tuple[type[Record], ...] = (),
        slowly: bool = False,
        **runner: Any,
    ) -> SyncRun:
        """Execute a run over `pages`; an exception among them is what the vendor does there. `slowly`: each page is stored by itself."""
        listed = [
            page if isinstance(page, Page | Exception) else Page(records=list(page), checkpoint={"page": number})
            for number, page in enumerate(pages)
        ]
        types = types or tuple({type(record) for page in listed if isinstance(page, Page) for record in page.records})
        declared = Stream(name=stream, label=stream, records=types, deletes_by=deletes_by)
        run, _ = schedule.open_run(self.integration, stream, mode=mode, trigger=Trigger.COMMAND, confirm_deletions=confirm_deletions)
        return Runner(run, declared, self._reader(listed, slowly), **runner).execute()

    def _reader(self, pages: list[Page | Exception], slowly: bool) -> Callable[[StreamQuery], Iterator[Page]]:
        ahead = iter(pages)  # whoever reads again after an exception goes on behind it

        def read(query: StreamQuery) -> Iterator[Page]:
            self.queries.append(query)
            for page in ahead:
                time.sleep(TOGETHER_SECONDS if slowly else 0)
                if isinstance(page, Exception):
                    raise page
                yield page

        return read
