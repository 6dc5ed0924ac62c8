"""`/api/auth` and `/api/hotels`."""

from django.urls import path

from hotels.api import auth, records

COLLECTIONS = {
    "menu-categories": records.MenuCategories,
    "menu-items": records.MenuItems,
    "rooms": records.Rooms,
    "reservations": records.Reservations,
    "guests": records.Guests,
    "checks": records.Checks,
    "feedback": records.FeedbackRecords,
    "chat-messages": records.ChatMessages,
    "notifications": records.Notifications,
}

urlpatterns = [
    path("auth/token", auth.TokenView.as_view(), name="token"),
    path("auth/logout", auth.LogoutView.as_view(), name="logout"),
    path("hotels", records.Hotels.as_view({"get": "list"}), name="hotels"),
    path("hotels/<int:pk>", records.Hotels.as_view({"get": "retrieve"}), name="hotel"),
]
for _name, _view in COLLECTIONS.items():
    urlpatterns.append(path(f"hotels/<int:hotel_id>/{_name}", _view.as_view({"get": "list"}), name=_name))
    if _view is not records.Guests:  # what one guest is called in the hotel's systems, the integrations tell
        urlpatterns.append(path(f"hotels/<int:hotel_id>/{_name}/<int:pk>", _view.as_view({"get": "retrieve"}), name=f"{_name}-one"))
