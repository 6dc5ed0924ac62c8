"""Oracle's gateway OHIP: how a path is built, a list is paged, an empty answer and an error are read. Knows no business of a hotel."""

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from integrations.exceptions import AuthenticationFailed, UnexpectedResponse
from integrations.services.base import Provider
from integrations.services.opera_cloud.manifest import Config, Credentials
from integrations.services.opera_cloud.signin import GatewayAuth
from integrations.transport.auth import Auth, TokenStore
from integrations.transport.client import ErrorRules, Response
from integrations.transport.request import GONE, path_part

Params = list[tuple[str, Any]]


def read_error(response: Response) -> tuple[str, str]:
    """Read the gateway's problem details, or the sign-in's OAuth error."""
    body = response.json()
    if not isinstance(body, dict):
        return "", ""
    details = body.get("o:errorDetails")
    first = details[0] if isinstance(details, list) and details and isinstance(details[0], dict) else {}
    code = body.get("o:errorCode") or first.get("o:errorCode") or body.get("error")
    return str(code or ""), str(body.get("detail") or body.get("error_description") or body.get("title") or "")


def body_of(answer: Response) -> Mapping[str, Any]:
    """Return an answer's object. Nothing found is a 204 without a body, on every list."""
    return answer.record() if answer.content else {}


class ListCutError(UnexpectedResponse):
    """OPERA says that a list goes on, and sends no more of it: it has more rows than OPERA lists."""

    hint = "Nothing of it was taken for deleted."


def path_of(*parts: str) -> str:
    return "".join(f"/{path_part(one)}" for one in parts)


class Gateway(Provider[Config, Credentials]):
    # "A wrong integration user password can show as 402 invalid_grant" (OHIP guide, common errors).
    errors = ErrorRules(read=read_error, table={(402, ""): AuthenticationFailed, (None, "invalid_grant"): AuthenticationFailed})

    @classmethod
    def auth(cls, config: Config, credentials: Credentials, tokens: TokenStore) -> Auth:
        return GatewayAuth(credentials, tokens)

    @classmethod
    def budget_key(cls, config: Config) -> str:
        return urlsplit(config.base_url).netloc

    @property
    def _hotel(self) -> str:
        return self.credentials.hotel_code

    def _path(self, module: str, *parts: str) -> str:
        """Return a path below the hotel: `/csh/v1/hotels/SAND01/reservations/660082/charges`."""
        return path_of(module, "v1", "hotels", self._hotel, *parts)

    def _get(self, path: str, name: str, params: Params | None = None) -> Mapping[str, Any]:
        return body_of(self.client.call("GET", path, name=name, params=params))

    def _find(self, path: str, name: str, params: Params | None = None) -> Mapping[str, Any]:
        """Read one object; empty if OPERA has none by that id."""
        answer = self.client.call("GET", path, name=name, params=params, expect=(200, *GONE))
        return body_of(answer) if answer.status == 200 else {}

    def _write(self, method: str, path: str, name: str, json: Mapping[str, Any]) -> Response:
        """Send a change. Named as ours, it does not come back to us as a business event."""
        headers = {"x-externalsystem": self.config.external_system} if self.config.external_system else {}
        return self.client.call(method, path, name=name, json=json, headers=headers)

    def _list(
        self, path: str, name: str, params: Params, where: tuple[str, ...], offset: int, limit: int
    ) -> Iterator[tuple[list[Any], int]]:
        """Yield pages of rows, with the offset after each. `where` leads to the rows; the paging fields stand at its first step."""

        ahead, is_promised, previous = offset, False, None
        found: dict[int, list[Any] | UnexpectedResponse] = {}
        """Answer -> its rows, or what is wrong with it."""

        def read(answer: Response) -> tuple[list[Any], bool | None]:
            if not answer.content:
                if is_promised:
                    raise ListCutError(f"OPERA said that there are more {name} after row {ahead}, then sent nothing.")
                return [], False
            page = answer.record().get(where[0])
            more = page.get("hasMore") if isinstance(page, Mapping) else None
            if more is not None and not isinstance(more, bool):
                raise answer.unexpected("does not say whether there is more: “hasMore” is neither true nor false")
            is_empty = isinstance(page, Mapping) and where[1] not in page and page.get("totalResults") == 0
            rows = [] if is_empty else answer.rows(*where)
            if more and not rows:
                raise ListCutError(f"OPERA says that there are more {name} after row {ahead}, and lists no more of them.")
            if more and rows == previous:
                raise UnexpectedResponse("OPERA sent the same page twice, so the list cannot be read to its end.")
            return rows, more

        def request(start: int) -> dict[str, Any]:
            return {"params": [*params, ("limit", limit), ("offset", start)]}

        def following(answer: Response) -> dict[str, Any] | None:
            nonlocal ahead, is_promised, previous
            try:
                rows, more = read(answer)
            except UnexpectedResponse as error:
                found[id(answer)] = error
                raise
            found[id(answer)] = previous = rows
            ahead, is_promised = ahead + len(rows), bool(more)
            # "Absence of hasMore means last page", but Oracle's housekeeping example leaves it out altogether: a full page is asked on.
            return request(ahead) if (len(rows) >= limit if more is None else more) else None

        for answer in self.client.pages("GET", path, name=name, next_request=following, **request(offset)):
            rows = found.pop(id(answer))
            if isinstance(rows, UnexpectedResponse):
                raise rows
            if rows:
                offset += len(rows)
                yield rows, offset
