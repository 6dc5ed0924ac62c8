"""What is not over in the hotel's rows: stays in house or expected, checks that are open. A list of a window of time may have lost sight of it."""

from collections.abc import Callable, Mapping
from datetime import date

from django.db.models import Q, QuerySet
from django.utils import timezone

from hotels.models import CheckStatus, ReservationStatus
from integrations.models import ExternalReference, Integration
from integrations.sync.bindings import BINDINGS

_STAY_IS_OVER = (ReservationStatus.CHECKED_OUT, ReservationStatus.CANCELLED, ReservationStatus.NO_SHOW)


def _stays(until: date) -> Q:
    """In house, or expected up to the last day that was listed: whoever comes later was not to be listed."""
    expected = Q(arrival_date=None) | Q(arrival_date__lte=until)
    return ~Q(status__in=_STAY_IS_OVER) & (Q(status=ReservationStatus.IN_HOUSE) | expected)


def _checks(until: date) -> Q:
    return Q(status__in=(CheckStatus.DRAFT, CheckStatus.OPEN, CheckStatus.UNKNOWN))


UNFINISHED: Mapping[str, Callable[[date], Q]] = {"reservation": _stays, "guest_check": _checks}


def unfinished(integration: Integration, record_type: str, until: date | None) -> QuerySet[ExternalReference]:
    """Return what the vendor calls these rows; `until` is the last day of what it listed."""
    today = timezone.localdate(timezone=integration.hotel.zone)
    is_open = UNFINISHED[record_type](max(until or today, today))
    rows = BINDINGS[record_type].model.live.filter(is_open, hotel=integration.hotel_id)
    return ExternalReference.objects.filter(
        integration=integration, record_type=record_type, deleted_at__isnull=True, object_id__in=rows.values("id")
    )
