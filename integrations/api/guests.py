"""Guests of a hotel as its systems know them: edited by staff, split where two were taken for one, joined where one was taken for two."""

from typing import Any

from django.db.models import Q, QuerySet
from django_filters import rest_framework as filters
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import status
from rest_framework.generics import GenericAPIView
from rest_framework.permissions import SAFE_METHODS
from rest_framework.request import Request
from rest_framework.response import Response

from hotels.api.base import find, require
from hotels.api.lists import IdFilter
from hotels.api.records import Guests, Records
from hotels.models import Guest, GuestQuestion, Role, Verdict
from integrations.api.serializers import EditedGuestSerializer, GuestQuestionSerializer, KnownGuestSerializer
from integrations.exceptions import InvalidInput
from integrations.services.guests import decide, edit_guest, known_as, questions, split_guest
from integrations.services.inputs import GuestEditInput, SplitInput, VerdictInput, read


class GuestRecords(Guests):
    serializer_class = KnownGuestSerializer

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        if request.method not in SAFE_METHODS:
            require(request.user, self.hotel, Role.OPERATOR)

    @property
    def guest(self) -> Guest:
        return find(Guest.objects.filter(hotel=self.hotel), pk=self.kwargs["pk"])

    @extend_schema(
        request=GuestEditInput,
        responses=EditedGuestSerializer,
        examples=[OpenApiExample("Example", {"phone": "+351 21 555 0100"}, request_only=True)],
    )
    def edit(self, request: Request, hotel_id: int, pk: int) -> Response:
        """Change a guest: the fields that are sent, and no others. Every system that knows the guest and takes changes is told.

        Where the vendor should decide whether the change is good, use `PUT /api/integrations/{id}/guests/{guest_id}`. The same change sent
        twice is one.
        """
        guest = self.guest
        guest.operations = edit_guest(guest, request.data, user=request.user)
        return Response(EditedGuestSerializer(guest).data)

    @extend_schema(request=SplitInput, responses={201: KnownGuestSerializer})
    def split(self, request: Request, hotel_id: int, pk: int) -> Response:
        """Take apart two people that were taken for one guest.

        The record named by `reference_id` gets a guest of its own, which is returned, with the reservations and messages its system tied to
        it. No sync joins the two again.
        """
        reference_id = read(SplitInput, request.data).reference_id
        reference = known_as(self.guest).filter(pk=reference_id).first()
        if reference is None:
            raise InvalidInput({"reference_id": "This guest has no such reference. The guest's own page lists them."})
        return Response(KnownGuestSerializer(split_guest(reference)).data, status.HTTP_201_CREATED)


class QuestionFilter(filters.FilterSet):
    verdict = filters.ChoiceFilter(choices=Verdict)
    guest_id = IdFilter(method="about", help_text="Questions in which this guest is one of the two.")

    def about(self, queryset: QuerySet, name: str, value: int) -> QuerySet:
        return queryset.filter(Q(guest=value) | Q(other=value))


class GuestQuestions(Records):
    """Guests who may be one person: what only a person can decide."""

    queryset = GuestQuestion.objects.all()
    serializer_class = GuestQuestionSerializer
    filterset_class = QuestionFilter

    def get_queryset(self) -> QuerySet[GuestQuestion]:
        return questions([self.hotel.pk]) if hasattr(self, "hotel") else super().get_queryset()

    def filter_queryset(self, queryset: QuerySet) -> QuerySet:
        return GenericAPIView.filter_queryset(self, queryset) if self.action == "list" else queryset

    @extend_schema(request=VerdictInput, responses=GuestQuestionSerializer)
    def decide(self, request: Request, hotel_id: int, pk: int) -> Response:
        """Answer a question. The answer is remembered: nobody is asked about the same two again, and no sync undoes it."""
        require(request.user, self.hotel, Role.OPERATOR)
        verdict = read(VerdictInput, request.data).verdict
        question = find(self.get_queryset(), pk=pk)
        decide(question, Verdict(verdict), user=request.user)
        question.refresh_from_db()
        return Response(GuestQuestionSerializer(question).data)
