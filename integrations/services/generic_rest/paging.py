"""Finds the list in an answer, and walks through it to its end, however the system splits it.

A list that was cut is never taken for a whole one: what it lacks would be archived. So an answer that says there is more is asked on,
and where it cannot be, that is an error which says what came.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from requests.utils import parse_header_links

from integrations import values
from integrations.exceptions import RecordRejected, UnexpectedResponse
from integrations.services.generic_rest import mapping
from integrations.services.generic_rest.manifest import Paging
from integrations.transport.client import Client, Response

FIRST = {"page": 1, "offset": 0}
MORE = ("has_more", "has_next", "has_next_page")
"""Names of what says that a list goes on, or that it does not."""
WHERE = ("page", "paging", "pagination", "meta", "page_info")
"""Where it may stand, if not beside the list."""
TOTALS = ("total", "total_count", "total_results", "total_elements", "total_size", "total_items")
MAX_CURSOR = 4096

Request = Mapping[str, Any]


class Pager:
    def __init__(self, client: Client, paging: Paging | None) -> None:
        self.client = client
        self.paging = paging

    def first(self, path: str, *, name: str) -> list[Any]:
        """Return the rows of a list's first answer."""
        return listed(self.client.call("GET", path, name=name, params=self._first({}), expect=(200, 204)))

    def walk(
        self, path: str, *, name: str, params: Mapping[str, Any], resume: Request | None = None
    ) -> Iterator[tuple[list[Any], Request | None]]:
        """Yield the rows of each answer beside the request for the next one, which is None at the end and may be given as `resume`."""
        if self.paging is None:
            answer = self.client.call("GET", path, name=name, params=params, expect=(200, 204))
            rows = listed(answer)
            if _goes_on(answer) or _total(answer) > len(rows):
                cut = answer.unexpected(f"has {len(rows)} rows and says that there are more")
                cut.hint = "Enter paging in this integration's configuration: how the system splits its lists."
                raise cut
            yield rows, None
            return
        walk = _Walk(self.paging, resume or {"path": path, "params": self._first(params)})
        # A page behind the last one may be empty, or not there at all.
        begin: dict[str, Any] = {**walk.request, "expect": (200, 204, 404) if resume and self.paging.style in FIRST else (200, 204)}
        for answer in self.client.pages("GET", name=name, next_request=walk.following, **begin):
            yield walk.found_in(answer)

    def _first(self, params: Mapping[str, Any]) -> dict[str, Any]:
        paging = self.paging
        if paging is None or paging.style == "link":
            return dict(params)
        first = {_parameter(paging): FIRST[paging.style]} if paging.style in FIRST else {}
        return {**params, paging.size_parameter: paging.size, **first}


class _Walk:
    """One reading of one list. `following` runs ahead of the answers that are handed out; what it found is kept beside each."""

    def __init__(self, paging: Paging, request: Request) -> None:
        self.paging = paging
        self.request = request
        self._last: list[Any] | None = None
        self._found: dict[int, tuple[list[Any], Request | None] | UnexpectedResponse] = {}
        """Answer -> its rows and the request after it, or what is wrong with it."""

    def following(self, answer: Response) -> Request | None:
        try:
            rows, after = self._found[id(answer)] = self._read(answer)
        except UnexpectedResponse as error:
            self._found[id(answer)] = error
            raise
        self._last = rows
        if after is None:
            return None
        self.request = after
        return {**after, "expect": (200, 204, 404) if self.paging.style in FIRST else (200, 204)}

    def found_in(self, answer: Response) -> tuple[list[Any], Request | None]:
        """Return what `following` found in an answer. Raises UnexpectedResponse rather than hand out a page of a list that was cut."""
        found = self._found.pop(id(answer))
        if isinstance(found, UnexpectedResponse):
            raise found
        return found

    def _read(self, answer: Response) -> tuple[list[Any], Request | None]:
        if self.paging.style in FIRST:
            return self._counted(answer)
        if not answer.content:
            if self._last is not None:
                raise answer.unexpected("is empty, though there should be more")
            return [], None
        rows = listed(answer)
        after = self._pointed(answer) if _goes_on(answer) is not False else None
        if after is None and _goes_on(answer):
            raise answer.unexpected("says that there is more, and not where")
        return rows, after

    def _counted(self, answer: Response) -> tuple[list[Any], Request | None]:
        """Only an empty answer is the end, or one that says so: a short one may be the system's own limit."""
        if answer.status != 200:
            return [], None
        rows, more = listed(answer), _goes_on(answer)
        if more and not rows:
            raise answer.unexpected("says that there is more, and has nothing")
        if not rows or rows == self._last:  # some serve their last page again for any page behind it
            return [], None
        if more is False:
            return rows, None
        name = _parameter(self.paging)
        step = 1 if self.paging.style == "page" else len(rows)
        return rows, {**self.request, "params": {**self.request["params"], name: self.request["params"][name] + step}}

    def _pointed(self, answer: Response) -> Request | None:
        body = answer.json()
        if self.paging.style == "link":
            url = _link(answer) or _dig(body, self.paging.next_field)
            if not url:
                return None
            if not isinstance(url, str):
                raise answer.unexpected(f"has something else than an address as “{self.paging.next_field}”")
            return {"path": url, "params": None}
        value = _dig(body, self.paging.next_field)
        if value is None or value == "" or value is False:
            return None
        if isinstance(value, bool) or not isinstance(value, str | int) or len(str(value)) > MAX_CURSOR:
            raise answer.unexpected(f"has something else than a cursor as “{self.paging.next_field}”")
        return {**self.request, "params": {**self.request["params"], _parameter(self.paging): value}}


def listed(answer: Response) -> list[Any]:
    """Return the rows of an answer's list. Raises UnexpectedResponse that says what came. No content is an empty list."""
    return mapping.listed(answer.json()) if answer.content or answer.status != 204 else []


def _parameter(paging: Paging) -> str:
    return paging.parameter or paging.style


def _goes_on(answer: Response) -> bool | None:
    """Say whether an answer says that there is more; None if it says nothing."""
    if (said := _said(answer, MORE)) is None:
        return True if _link(answer) else None
    try:
        return values.flag(said, "has_more", default=False)
    except RecordRejected as refusal:
        raise answer.unexpected(f"cannot be read: {refusal.message.rstrip('.')}") from refusal


def _total(answer: Response) -> int:
    said = _said(answer, TOTALS)
    return said if isinstance(said, int) and not isinstance(said, bool) else 0


def _said(answer: Response, names: tuple[str, ...]) -> Any:
    body = answer.json() if answer.content else None
    if not isinstance(body, Mapping):
        return None
    told = mapping.Fields(body).told
    places = [told, *(mapping.Fields(told[name]).told for name in WHERE if isinstance(told.get(name), Mapping))]
    return next((place[name] for place in places for name in names if name in place), None)


def _link(answer: Response) -> Any:
    """Return the address of what follows: of the header Link, or of the links in the body of ORDS, HAL and JSON:API."""
    for link in parse_header_links(answer.headers.get("Link", "")):
        if link.get("rel") == "next":
            return link["url"]
    body = answer.json() if answer.content else None
    if not isinstance(body, Mapping):
        return None
    for links in (body.get("_links"), body.get("links")):
        if isinstance(links, list):
            links = {link.get("rel"): link for link in links if isinstance(link, Mapping)}
        if isinstance(links, Mapping) and (found := links.get("next")):
            return found.get("href") if isinstance(found, Mapping) else found
    return None


def _dig(body: Any, field: str) -> Any:
    for name in field.split("."):
        body = body.get(name) if isinstance(body, Mapping) else None
    return body
