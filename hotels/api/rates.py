"""How many requests one user may make at one hotel, reads and writes apart, and what is left of them: the headers of every answer."""

from typing import Any

from django.conf import settings
from rest_framework.permissions import SAFE_METHODS
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from hotels.rates import Rates, parse_rate

_rates = Rates(prefix="api:rate")


class UserAtHotel(BaseThrottle):
    """Counts what somebody asks who is signed in. The hotel is that of the integration (`view.integration`), or the one in the address."""

    def allow_request(self, request: Request, view: Any) -> bool:
        if request.user.pk is None:  # signing in has limits of its own
            return True
        kind = "reads" if request.method in SAFE_METHODS else "writes"
        integration = getattr(view, "integration", None)
        hotel_id = integration.hotel_id if integration else view.kwargs.get("hotel_id", "")
        rate = settings.API_RATES[kind]
        is_admitted, left, self._wait = _rates.count(f"{kind}:{request.user.pk}:{hotel_id}", rate)
        # On Django's request, which the middleware has: an answer to an error is made by nobody who knows this throttle.
        request._request.rate = {"RateLimit-Limit": parse_rate(rate)[0], "RateLimit-Remaining": left, "RateLimit-Reset": self._wait}
        return is_admitted

    def wait(self) -> float:
        return self._wait
