"""Walks through a list, however the system splits it."""

from collections.abc import Iterator, Mapping
from typing import Any

from requests.utils import parse_header_links

from integrations.services.generic_rest import mapping
from integrations.services.generic_rest.manifest import Paging
from integrations.transport.client import Client, Response

FIRST = {"page": 1, "offset": 0}


class Pager:
    def __init__(self, client: Client, paging: Paging | None) -> None:
        self.client = client
        self.paging = paging

    def walk(
        self, path: str, *, name: str, params: Mapping[str, Any], resume: Mapping[str, Any] | None = None
    ) -> Iterator[tuple[list[Mapping[str, Any]], Mapping[str, Any] | None]]:
        """Yield the objects of each answer beside the request for the next one, which is None at the end and may be given as `resume`."""
        request: Mapping[str, Any] | None = resume or {"path": path, "params": self._first(params)}
        if self.paging is None:
            answer = self.client.call("GET", path, name=name, params=params)
            yield mapping.listed(answer.json()), None
            return

        def following(answer: Response) -> Mapping[str, Any] | None:
            nonlocal request
            request = self._following(answer, request)
            return request

        for answer in self.client.pages("GET", name=name, next_request=following, **request):
            yield mapping.listed(answer.json()), request

    def _first(self, params: Mapping[str, Any]) -> dict[str, Any]:
        paging = self.paging
        if paging is None or paging.style == "link":
            return dict(params)
        first = {self._parameter: FIRST[paging.style]} if paging.style in FIRST else {}
        return {**params, paging.size_parameter: paging.size, **first}

    @property
    def _parameter(self) -> str:
        return self.paging.parameter or self.paging.style

    def _following(self, answer: Response, request: Mapping[str, Any]) -> Mapping[str, Any] | None:
        style, body = self.paging.style, answer.json()
        if style == "link":
            url = _link(answer.headers.get("Link", "")) or _dig(body, self.paging.next_field)
            return {"path": url, "params": None} if url else None
        if style == "cursor":
            value = _dig(body, self.paging.next_field)
        else:  # only an empty answer is the end: a short one may be the system's own limit
            count = len(mapping.listed(body))
            value = request["params"][self._parameter] + (1 if style == "page" else count) if count else None
        return {**request, "params": {**request["params"], self._parameter: value}} if value else None


def _link(header: str) -> str:
    return next((link["url"] for link in parse_header_links(header) if link.get("rel") == "next"), "")


def _dig(body: Any, field: str) -> Any:
    for name in field.split("."):
        body = body.get(name) if isinstance(body, Mapping) else None
    return body
