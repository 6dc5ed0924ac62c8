"""The simulator refuses what OPERA would, names the field, and changes nothing; what is right it takes."""

import base64
from copy import deepcopy
from typing import Any

import pytest

from integrations.services.opera_cloud.simulator import EXTERNAL_SYSTEM, OperaCloudSimulator
from integrations.services.opera_cloud.simulator_gateway import CREDENTIALS, SCOPE
from integrations.simulators.server import SimResponse
from integrations.tests import wrong
from integrations.tests.wrong import changed

H = "/{module}/v1/hotels/SAND01"
RSV, FOF, HSK, CSH = (H.format(module=module) for module in ("rsv", "fof", "hsk", "csh"))
EVENTS = f"/int/v1/externalSystem/{EXTERNAL_SYSTEM}/hotels/SAND01/businessEvents"
STAY_ID = {"id": "660090", "type": "Reservation"}
CHARGE = {"transactionCode": "2000", "price": {"amount": 34.5, "currencyCode": "EUR"}}
CHARGES = {"criteria": {"hotelId": "SAND01", "reservationId": STAY_ID, "cashierId": 4, "charges": [CHARGE]}}
CHARGE_PATH = f"{CSH}/reservations/660090/charges"
ASSIGN = {"criteria": {"hotelId": "SAND01", "reservationIdList": [{"id": "660083", "type": "Reservation"}], "roomId": "111"}}
ASSIGN_PATH = f"{FOF}/reservations/660083/roomAssignments"
CHECK_IN = {"reservation": {"roomId": "101"}}
CHECK_IN_PATH = f"{FOF}/reservations/res_123/checkIns"
CHECK_OUT = {"reservation": {"hotelId": "SAND01", "reservationIdList": [{"id": "660091", "type": "Reservation"}], "cashierId": 4}}
CHECK_OUT_PATH = f"{CSH}/reservations/660091/checkOuts"
REQUEST = {"serviceRequestsDetails": [{"hotelId": "SAND01", "code": "HKT", "room": "102", "comment": "Towels"}]}
REQUEST_PATH = f"{FOF}/serviceRequests"
PROFILE_PATH = "/crm/v1/profiles/1280812"
NAMES = {"profileDetails": {"customer": {"personName": [{"givenName": "Ana", "surname": "Smith", "nameType": "Primary"}]}}}
PHONE = {"profileDetails": {"telephones": {"telephoneInfo": [{"telephone": {"phoneNumber": "+43 1 2345", "phoneUseType": "MOBILE"}}]}}}
EMAIL = {"profileDetails": {"emails": {"emailInfo": [{"email": {"emailAddress": "ana@example.com", "type": "EMAIL"}}]}}}


RIGHT = {"authorization": "Bearer good", "x-app-key": CREDENTIALS["app_key"], "x-hotelid": "SAND01"}


def signed_in() -> OperaCloudSimulator:
    simulator = OperaCloudSimulator()
    simulator.tokens["good"] = simulator.clock() + 3600
    return simulator


@pytest.fixture
def opera() -> OperaCloudSimulator:
    return signed_in()


def ask(opera: OperaCloudSimulator, method: str, target: str, body: Any = None, **headers: str | None) -> SimResponse:
    return wrong.ask(opera, method, target, body, RIGHT | {name.replace("_", "-"): value for name, value in headers.items()})


WRONG_BODIES = [
    ("POST", CHARGE_PATH, changed(CHARGES, f"criteria.charges.0.{path}", value), word)
    for path, value, word in (
        ("transactionCode", "7777", "transactionCode"), ("transactionCode", "9000", "transactionCode"),
        ("transactionCode", ..., "transactionCode"), ("transactionCode", 2000, "transactionCode"),
        ("transactionCode", "2" * 81, "transactionCode"), ("price", ..., "price"), ("price.amount", ..., "amount"),
        ("price.amount", "34.5", "amount"), ("price.amount", 0, "amount"), ("price.amount", 34.505, "amount"),
        ("price.amount", -34.5, "amount"), ("price.amount", True, "amount"), ("price.amount", None, "amount"),
        ("price.currencyCode", "USD", "currencyCode"), ("price.currencyCode", "EU", "currencyCode"),
        ("price.currencyCode", "E" * 21, "currencyCode"), ("price.currencyCode", 978, "currencyCode"),
        ("postingQuantity", 0, "postingQuantity"), ("postingQuantity", -1, "amount"), ("postingQuantity", 1.5, "postingQuantity"),
        ("postingQuantity", "1", "postingQuantity"), ("folioWindowNo", 9, "folioWindowNo"), ("folioWindowNo", 0, "folioWindowNo"),
        ("folioWindowNo", "1", "folioWindowNo"), ("covers", "two", "covers"), ("covers", 2, "covers"),
        ("checkNumber", "1" * 201, "checkNumber"), ("checkNumber", 1001, "checkNumber"), ("postingReference", "k" * 2001, "postingReference"),
        ("postingRemark", "k" * 2001, "postingRemark"), ("applyRoutingInstructions", "yes", "applyRoutingInstructions"),
        ("cashierId", 99, "cashierId"), ("remark", "x", "remark"), ("articleCode", "COLA", "articleCode"),
    )
] + [
    (method, target, changed(good, path, value), word)
    for method, target, good, cases in (
        ("POST", CHARGE_PATH, CHARGES, (
            ("criteria", ..., "reservationId"), ("criteria.charges", [], "charges"), ("criteria.charges", {}, "charges"),
            ("criteria.reservationId", ..., "reservationId"), ("criteria.reservationId.id", "660091", "reservationId"),
            ("criteria.reservationId.type", "Confirmation", "reservationId"), ("criteria.hotelId", "OTHER", "hotelId"),
            ("criteria.hotelId", "H" * 21, "hotelId"), ("criteria.cashierId", 99, "cashierId"), ("criteria.cashierId", "4", "cashierId"),
            ("criteria.postIt", True, "postIt"), ("criteria.incomeAuditDate", "2001-01-01", "incomeAuditDate"),
            ("criteria.incomeAuditDate", "today", "incomeAuditDate"), ("criteria.welcomeOfferPosting", True, "welcomeOfferPosting"),
        )),
        ("POST", ASSIGN_PATH, ASSIGN, (
            ("criteria.roomId", "999", "roomId"), ("criteria.roomId", "9001", "roomId"), ("criteria.roomId", "102", "roomId"),
            ("criteria.roomId", "101", "roomId"), ("criteria.roomId", "118", "roomId"), ("criteria.roomId", "119", "roomId"),
            ("criteria.roomId", ..., "roomId"), ("criteria.roomId", 111, "roomId"), ("criteria.roomId", "1" * 21, "roomId"),
            ("criteria.hotelId", ..., "hotelId"), ("criteria.hotelId", "OTHER", "hotelId"),
            ("criteria.reservationIdList", ..., "reservationIdList"), ("criteria.reservationIdList", {}, "reservationIdList"),
            ("criteria.reservationIdList.0.id", "660090", "reservation"), ("criteria.roomNumberLocked", "true", "roomNumberLocked"),
            ("criteria.updateRoomTypeCharged", True, "updateRoomTypeCharged"), ("criteria.comments", "x", "comments"),
            ("criteria.roomNumber", "111", "roomNumber"),
        )),
        ("POST", CHECK_IN_PATH, CHECK_IN, (
            ("reservation", ..., "reservation"), ("reservation.roomId", "102", "room"), ("reservation.roomId", 101, "roomId"),
            ("reservation.roomId", "1" * 21, "roomId"), ("reservation.stopCheckin", True, "stopCheckin"),
            ("reservation.printRegistration", True, "printRegistration"), ("reservation.ignoreWarnings", True, "ignoreWarnings"),
            ("reservation.ignoreWarnings", "no", "ignoreWarnings"), ("reservation.roomNumber", "101", "roomNumber"),
            ("reservation.lockHandle", 1, "lockHandle"), ("fetchReservationInstruction", ["Everything"], "fetchReservationInstruction"),
            ("includeNotifications", "yes", "includeNotifications"),
        )),
        ("POST", CHECK_OUT_PATH, CHECK_OUT, (
            ("reservation", ..., "reservationIdList"), ("reservation.reservationIdList.0.id", "660092", "reservation"),
            ("reservation.hotelId", "OTHER", "hotelId"), ("reservation.cashierId", 99, "cashierId"),
            ("reservation.eventType", "Departure", "eventType"), ("reservation.eventType", "EarlyDeparture", "eventType"),
            ("reservation.checkoutInstr.roomStatus", "Filthy", "roomStatus"), ("reservation.checkoutInstr.roomStatus", "D" * 41, "roomStatus"),
            ("reservation.autoCheckout", True, "autoCheckout"), ("reservation.stopCheckout", True, "stopCheckout"),
            ("reservation.checkoutWithOpenFolio", True, "checkoutWithOpenFolio"), ("verificationOnly", "true", "verificationOnly"),
        )),
        ("POST", REQUEST_PATH, REQUEST, (
            ("serviceRequestsDetails", [], "serviceRequestsDetails"), ("serviceRequestsDetails.0.hotelId", "OTHER", "hotelId"),
            ("serviceRequestsDetails.0.code", "NONE", "code"), ("serviceRequestsDetails.0.code", "C" * 21, "code"),
            ("serviceRequestsDetails.0.priority", "high", "priority"), ("serviceRequestsDetails.0.status", "open", "status"),
            ("serviceRequestsDetails.0.room", "999", "room"), ("serviceRequestsDetails.0.room", 102, "room"),
            ("serviceRequestsDetails.0.comment", "x" * 2001, "comment"),
            ("serviceRequestsDetails.0.reservationIdList", [{"id": "1", "type": "Reservation"}], "reservation"),
            ("serviceRequestsDetails.0.reservationIdList", [{"id": "660091", "type": "Reservation"}], "room"),
            ("serviceRequestsDetails.0.reservationIdList", [{"id": "1", "type": "Confirmation"}], "reservation"),
            ("serviceRequestsDetails.0.profileId", {"id": "42", "type": "Profile"}, "profile"),
            ("serviceRequestsDetails.0.text", "x", "text"), ("serviceRequestsDetails.0.guestName", "Ana", "guestName"),
        )),
        ("PUT", PROFILE_PATH, NAMES, (
            ("profileDetails.customer.personName.0.surname", "S" * 41, "surname"), ("profileDetails.customer.personName.0.surname", "", "surname"),
            ("profileDetails.customer.personName.0.givenName", "G" * 41, "givenName"),
            ("profileDetails.customer.personName.0.nameType", "Main", "nameType"), ("profileDetails.customer.personName", [], "primary name"),
            ("profileDetails.customer.language", "XX", "language"), ("profileDetails.customer.birthDate", "1980-02-30", "birthDate"),
            ("profileDetails.customer.nationality", "N" * 21, "nationality"), ("profileDetails.customer.shoeSize", 44, "shoeSize"),
            ("profileIdList", [{"id": "1280813", "type": "Profile"}], "profileIdList"), ("profileDetails", ..., "profileDetails"),
        )),
        ("PUT", PROFILE_PATH, PHONE, (
            ("profileDetails.telephones.telephoneInfo.0.telephone.phoneNumber", "1" * 41, "phoneNumber"),
            ("profileDetails.telephones.telephoneInfo.0.telephone.phoneNumber", ..., "phoneNumber"),
            ("profileDetails.telephones.telephoneInfo.0.telephone.phoneUseType", "CAR", "phoneUseType"),
            ("profileDetails.telephones.telephoneInfo.0.id", "nobody's", "telephone"),
        )),
        ("PUT", PROFILE_PATH, EMAIL, (
            ("profileDetails.emails.emailInfo.0.email.emailAddress", "nowhere", "e-mail"),
            ("profileDetails.emails.emailInfo.0.email.type", "FAX", "type"),
        )),
    )
    for path, value, word in cases
]  # fmt: skip


@pytest.mark.parametrize(("method", "target", "body", "word"), WRONG_BODIES)
def test_wrong_body_is_refused_by_name_and_changes_nothing(
    opera: OperaCloudSimulator, method: str, target: str, body: Any, word: str
) -> None:
    before = deepcopy(opera.state())
    answer = ask(opera, method, target, body)
    assert answer.status in (400, 501), answer.json
    assert answer.json["o:errorCode"]
    assert word.casefold() in f"{answer.json.get('o:errorPath')} {answer.json['detail']}".casefold()
    assert opera.state() == before


WRONG_CALLS = (
    [
        ("GET", f"{RSV}/reservations?{query}", status, word)
        for query, status, word in (
            ("limit=0", 400, "limit"), ("limit=-1", 400, "limit"), ("limit=x", 400, "limit"), ("limit=", 400, "limit"),
            ("offset=-1", 400, "offset"), ("limit=5&limit=6", 400, "limit"), ("searchType=Here", 400, "searchType"),
            ("searchType=DayUse", 501, "searchType"), ("reservationStatuses=Reserved", 400, "reservationStatuses"),
            ("arrivalStartDate=2026-02-30", 400, "arrivalStartDate"), ("arrivalStartDate=20260201", 400, "arrivalStartDate"),
            ("arrivalStartDate=2026-02-02&arrivalEndDate=2026-02-01", 400, "arrivalEndDate"), ("orderBy=Name", 400, "orderBy"),
            ("orderBy=RateAmount", 501, "orderBy"), ("sortOrder=Up", 400, "sortOrder"), ("modifiedSince=2026-01-01", 400, "modifiedSince"),
            ("cancelledOn=2026-01-01", 501, "cancelledOn"), ("fetchInstructions=Everything", 400, "fetchInstructions"),
        )
    ] + [
        ("GET", "/crm/v1/profiles?limit=201", 400, "200"), ("GET", "/crm/v1/profiles?profileType=Person", 400, "profileType"),
        ("GET", f"{EVENTS}?limit=21", 400, "limit"), ("GET", EVENTS.replace(EXTERNAL_SYSTEM, "OTHER"), 400, "OTHER"),
        ("GET", f"{FOF}/serviceRequests?creationStartDate=2026-01-01&creationEndDate=2026-03-01", 400, "30 days"),
        ("GET", f"{CSH}/reservations/660090/folios?start=2026-01-01&end=2026-03-01", 400, "30 days"),
        ("GET", f"{HSK}/housekeepingOverview?housekeepingRoomStatus=Filthy", 400, "housekeepingRoomStatus"),
        ("GET", f"{RSV}/reservations/1", 404, "not found"), ("GET", f"{RSV}/reservations/660090/traces", 501, "getTraces"),
        ("PUT", "/crm/v1/profiles/42", 404, "not found"), ("GET", "/rsv/v2/hotels", 404, "no resource"),
        ("POST", f"{CSH}/reservations/1/charges", 404, "not found"), ("POST", CHARGE_PATH, 400, "not JSON"),
    ]
)  # fmt: skip


@pytest.mark.parametrize(("method", "target", "status", "word"), WRONG_CALLS)
def test_wrong_call_is_refused_by_name(opera: OperaCloudSimulator, method: str, target: str, status: int, word: str) -> None:
    answer = ask(opera, method, target)
    assert answer.status == status
    assert word in f"{answer.json.get('o:errorPath')} {answer.json['detail']}"


WRONG_HEADERS = (
    [
        ({"authorization": None}, 401), ({"authorization": "good"}, 401), ({"authorization": "Basic good"}, 401),
        ({"authorization": "Bearer other"}, 401), ({"x_app_key": None}, 401), ({"x_app_key": "key"}, 401), ({"x_hotelid": "OTHER"}, 403),
        ({"x_hotelid": None}, 400), ({"x_request_id": "1"}, 400), ({"x_externalsystem": "X" * 41}, 400), ({"accept": "text/xml"}, 406),
        ({"content_type": "text/plain"}, 415),
    ]
)  # fmt: skip


@pytest.mark.parametrize(("headers", "status"), WRONG_HEADERS)
def test_wrong_header_is_refused_and_nothing_posted(opera: OperaCloudSimulator, headers: dict, status: int) -> None:
    before = opera.state()
    assert ask(opera, "POST", CHARGE_PATH, CHARGES, **headers).status == status
    assert opera.state() == before


BASIC = "Basic " + base64.b64encode(f"{CREDENTIALS['client_id']}:{CREDENTIALS['client_secret']}".encode()).decode()
FORM = {"authorization": BASIC, "content_type": "application/x-www-form-urlencoded", "enterpriseid": "ENT123"}


WRONG_SIGN_INS = (
    [
        ("grant_type=authorization_code", {}, 400, "unsupported_grant_type"), ("", {}, 400, "invalid_request"),
        ("grant_type=client_credentials", {}, 400, "invalid_scope"),
        (f"grant_type=client_credentials&scope={SCOPE}", {"enterpriseid": None}, 400, "invalid_request"),
        (f"grant_type=client_credentials&scope={SCOPE}", {"enterpriseid": "ent"}, 400, "invalid_request"),
        (f"grant_type=client_credentials&scope={SCOPE}", {"authorization": BASIC[6:]}, 401, "invalid_client"),
        ("grant_type=password&username=HOSPIENT", {}, 400, "invalid_request"),
        ("grant_type=password&username=HOSPIENT&password=no", {}, 402, "invalid_grant"),
    ]
)  # fmt: skip


@pytest.mark.parametrize(("form", "headers", "status", "error"), WRONG_SIGN_INS)
def test_wrong_sign_in_gets_no_token(opera: OperaCloudSimulator, form: str, headers: dict, status: int, error: str) -> None:
    answer = ask(opera, "POST", "/oauth/v1/tokens", form.encode(), **{**FORM, **headers})
    assert (answer.status, answer.json["error"]) == (status, error)
    assert list(opera.tokens) == ["good"]


@pytest.mark.parametrize(
    ("method", "target", "body", "status"),
    [
        ("POST", CHARGE_PATH, CHARGES, 201), ("POST", ASSIGN_PATH, ASSIGN, 201), ("POST", CHECK_IN_PATH, CHECK_IN, 201),
        ("POST", CHECK_OUT_PATH, CHECK_OUT, 201), ("POST", REQUEST_PATH, REQUEST, 201), ("PUT", PROFILE_PATH, NAMES, 200),
        ("PUT", PROFILE_PATH, PHONE, 200), ("PUT", PROFILE_PATH, EMAIL, 200), ("GET", EVENTS, None, 204),
        ("GET", f"{RSV}/reservations?searchType=InHouse&roomId=102", None, 200),
    ],
)  # fmt: skip
def test_right_request_is_taken(opera: OperaCloudSimulator, method: str, target: str, body: Any, status: int) -> None:
    assert ask(opera, method, target, body).status == status


# --- what happens at a hotel ---------------------------------------------------------------------------------------------------


def test_moved_guest_leaves_his_room_to_the_next(opera: OperaCloudSimulator) -> None:
    opera.move_guest("660090", "107")
    opera.arrive("660097", "102")
    found = ask(opera, "GET", f"{RSV}/reservations?searchType=InHouse&roomId=102").json["reservations"]["reservationInfo"]
    assert [row["reservationIdList"][1]["id"] for row in found] == ["660097"]
    assert opera.state()["rooms"]["107"][1] == "Occupied"


def test_merged_profile_is_gone_and_its_stays_are_the_others(opera: OperaCloudSimulator) -> None:
    opera.merge_profiles("1280815", "1280812")
    opera.merge_profiles("1280816", "1280812", status=204)
    assert [ask(opera, "GET", f"/crm/v1/profiles/{id}").status for id in ("1280815", "1280816")] == [404, 204]
    assert opera.hotel.stays["660090"].guest_id == "1280812"


def test_search_shows_a_thousand_rows_and_says_there_is_more() -> None:
    opera = OperaCloudSimulator(extra_reservations=1100)
    opera.tokens["good"] = opera.clock() + 3600
    last = ask(opera, "GET", f"{RSV}/reservations?limit=200&offset=1000").json["reservations"]
    assert (last["reservationInfo"], last["hasMore"], last["totalResults"]) == ([], True, 1000)


def test_later_page_can_be_lost_phones_lose_their_spaces_and_polls_have_a_pace(opera: OperaCloudSimulator) -> None:
    opera.fail("empty_page")
    pages = [ask(opera, "GET", f"{HSK}/housekeepingOverview?limit=10&offset={offset}").status for offset in (0, 10, 10)]
    assert pages == [200, 204, 200]
    opera.hotel.normalises_phones = True
    ask(opera, "PUT", PROFILE_PATH, PHONE)
    assert opera.hotel.profiles["1280812"]["telephones"]["telephoneInfo"][-1]["telephone"]["phoneNumber"] == "+4312345"
    assert [ask(opera, "GET", EVENTS).status for _ in range(301)][-2:] == [204, 429]
