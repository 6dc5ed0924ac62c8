"""What OPERA is sent: bodies as Oracle's specification wants them, which is stricter than Oracle's own examples. Pure functions.

Misspelt fields are ignored by OPERA without a word, so every name here is held to the specification by a test.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from integrations.services.opera_cloud.mapping import Row, children_of, comment_rows, id_of, primary, primary_name

Body = dict[str, Any]

# --- check-in and check-out ----------------------------------------------------------------------------------------------------


def reservation_id(external_id: str) -> Body:
    return {"id": external_id, "type": "Reservation"}


def room_assignment(external_id: str, number: str, hotel: str) -> Body:
    return {
        "criteria": {
            "hotelId": hotel,
            "reservationIdList": [reservation_id(external_id)],
            "roomId": number,
            "updateRoomTypeCharged": False,
            "roomNumberLocked": True,
        }
    }


def check_in(number: str) -> Body:
    """`roomId` is an assertion: OPERA checks that it is the room the reservation has."""
    reservation = {"ignoreWarnings": False, "stopCheckin": False, "printRegistration": False}
    return {"reservation": {"roomId": number, **reservation} if number else reservation}


def check_out(external_id: str, hotel: str, cashier_id: int | None, room_status: str, is_dry_run: bool) -> Body:
    reservation: Body = {
        "reservationIdList": [reservation_id(external_id)],
        "hotelId": hotel,
        "eventType": "CheckOut",
        "stopCheckout": False,
        "autoCheckout": False,
        "checkoutInstr": {"roomStatus": room_status, "ignoreWarnings": False},
    }
    if cashier_id is not None:
        reservation["cashierId"] = cashier_id
    return {"reservation": reservation, "verificationOnly": is_dry_run}


def feedback(payload: Row) -> str:
    """Return a guest's feedback as a sentence; empty if there is none."""
    rating = f"{payload['feedback_rating']} of 5." if payload["feedback_rating"] else ""
    said = " ".join(filter(None, (rating, payload["feedback_comments"])))
    return f"Feedback at check-out: {said}" if said else ""


# --- charges -------------------------------------------------------------------------------------------------------------------


def charge(payload: Row, key: str, code: str, external_id: str, hotel: str, cashier_id: int | None) -> Body:
    """One posting for the whole amount: OPERA multiplies price by quantity, so the quantity goes into the remark."""
    quantity = f" × {payload['quantity']}" if payload["quantity"] and int(payload["quantity"]) != 1 else ""
    posting: Body = {
        "transactionCode": code,
        "price": {"amount": Decimal(payload["amount"]), "currencyCode": payload["currency"]},
        "postingQuantity": 1,
        "postingReference": key,
        "postingRemark": f"{payload['description'] or payload['category']}{quantity}",
        "folioWindowNo": 1,
        "applyRoutingInstructions": True,
    }
    if payload["check_number"]:
        posting["checkNumber"] = payload["check_number"]
    criteria: Body = {
        "hotelId": hotel,
        "reservationId": {**reservation_id(external_id), "idContext": "OPERA"},
        "postIt": False,
        "charges": [posting],
    }
    if cashier_id is not None:
        criteria["cashierId"] = cashier_id
    return {"criteria": criteria}


# --- service requests ----------------------------------------------------------------------------------------------------------


def service_request(payload: Row, key: str, hotel: str, code: str = "", priority: str = "") -> Body:
    """A category or priority that has no code of OPERA's is named in the text, so that nothing is lost."""
    rank = "" if priority or payload["priority"] in ("", "normal") else f"{payload['priority']} priority"
    lead = ", ".join(filter(None, ("" if code else payload["category"], rank)))
    request: Body = {
        "hotelId": hotel,
        "status": "Open",
        "comment": with_reference(f"{lead}: {payload['message']}" if lead else payload["message"], key),
    }
    if code:
        request["code"] = code
    if priority:
        request["priority"] = priority
    if payload["room_number"]:
        request["room"] = payload["room_number"]
    if payload["reservation_external_id"]:
        request["reservationIdList"] = [reservation_id(payload["reservation_external_id"])]
    if payload["guest_external_id"]:
        request["profileId"] = {"id": payload["guest_external_id"], "type": "Profile"}
    return {"serviceRequestsDetails": [request]}


def with_reference(text: str, key: str) -> str:
    """Put our key at the end of a text: there is nowhere else to find it by."""
    return f"{text} (ref {key})"


# --- profiles ------------------------------------------------------------------------------------------------------------------


def profile_update(answer: Row, changes: Mapping[str, str], email_type: str, phone_type: str) -> Body:
    """Return the body that changes a profile as it was just read.

    Only the parts that change are sent. A part that is a list is sent whole, each child under its own id, because the specification
    does not say whether children that are left out are kept.
    """
    details = answer.get("profileDetails") or {}
    customer = details.get("customer") or {}
    body: Body = {}
    renamed = {theirs: changes[ours] for ours, theirs in (("given_name", "givenName"), ("family_name", "surname")) if ours in changes}
    if renamed:
        name = primary_name(customer)
        others = [other for other in customer.get("personName") or () if other is not name]
        body["customer"] = {"personName": [{**(name or {"nameType": "Primary"}), **renamed}, *others]}
    if "language" in changes:
        body.setdefault("customer", {})["language"] = changes["language"]
    if "email" in changes:
        body["emails"] = {"emailInfo": _with_primary(details, "email", {"emailAddress": changes["email"]}, {"type": email_type})}
    if "phone" in changes:
        new = {"phoneUseType": phone_type, "phoneTechType": "PHONE"}
        body["telephones"] = {"telephoneInfo": _with_primary(details, "telephone", {"phoneNumber": changes["phone"]}, new)}
    return _profile_body(answer, body)


def _profile_body(answer: Row, details: Row) -> Body:
    return {"profileIdList": [{"id": id_of(answer.get("profileIdList"), "Profile"), "type": "Profile"}], "profileDetails": details}


def _with_primary(details: Row, kind: str, change: Row, new: Row) -> list[Row]:
    """Return a profile's e-mails or phones with the primary one changed, or added if there is none."""
    children, changed = children_of(details, kind), primary(details, kind)
    if not children:
        return [{kind: {**new, **change, "primaryInd": True}}]
    return [{**child, kind: {**child[kind], **change}} if child.get(kind) is changed else child for child in children]


def with_comment(profile: Row, text: str, hotel: str, comment_type: str) -> Body:
    comment = {"text": {"value": text}, "commentTitle": "Feedback", "hotelId": hotel, "internal": True}
    if comment_type:
        comment["type"] = comment_type
    return _profile_body(profile, {"comments": {"commentInfo": [*comment_rows(profile), {"comment": comment}]}})
