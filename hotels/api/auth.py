"""A token in, a token out."""

from typing import Any

from django.contrib.auth import authenticate
from django.utils import timezone
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import serializers, status
from rest_framework.exceptions import APIException, Throttled
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from hotels.login import TooManyAttempts
from hotels.models import ApiToken


class WrongCredentials(APIException):
    """The same for a wrong password and for an account that is not there."""

    status_code = status.HTTP_401_UNAUTHORIZED
    default_code = "authentication_failed"
    default_detail = "The username or the password is wrong."
    auth_header = "Bearer"
    hint = "Check both, and whether the account is active."


class TokenRequestSerializer(serializers.Serializer):
    username = serializers.CharField(max_length=150)
    password = serializers.CharField(max_length=4096, trim_whitespace=False, write_only=True)
    name = serializers.CharField(max_length=120, required=False, default="", allow_blank=True, help_text="What you will know it by.")


class TokenSerializer(serializers.ModelSerializer):
    token = serializers.CharField(help_text="Shown this once. Send it as `Authorization: Bearer <token>`.")
    expires_at = serializers.DateTimeField(source="expiry")

    class Meta:
        model = ApiToken
        fields = ["token", "name", "expires_at"]


@extend_schema(tags=["auth"])
class TokenView(APIView):
    authentication_classes = []
    permission_classes = [AllowAny]

    @extend_schema(request=TokenRequestSerializer, responses={201: TokenSerializer})
    def post(self, request: Request) -> Response:
        """Exchange a username and password for a token."""
        wanted = TokenRequestSerializer(data=request.data)
        wanted.is_valid(raise_exception=True)
        data: dict[str, Any] = wanted.validated_data
        try:
            user = authenticate(request._request, username=data["username"], password=data["password"])
        except TooManyAttempts as refusal:
            throttled = Throttled(detail=refusal.message)
            throttled.wait = refusal.wait_seconds
            raise throttled from None
        if user is None:
            raise WrongCredentials()
        ApiToken.objects.filter(user=user, expiry__lt=timezone.now()).delete()
        row, row.token = ApiToken.objects.create(user, name=data["name"])
        return Response(TokenSerializer(row).data, status.HTTP_201_CREATED)


@extend_schema(tags=["auth"])
class LogoutView(APIView):
    @extend_schema(request=None, responses={204: OpenApiResponse(description="The token no longer opens anything.")})
    def post(self, request: Request) -> Response:
        """Revoke the token this request came with."""
        request.auth.delete()
        return Response(status=status.HTTP_204_NO_CONTENT)
