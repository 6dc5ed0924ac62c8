"""All settings, read from the environment. `.env.example` lists the variables with their defaults."""

import os
import secrets
import sys
from datetime import timedelta
from pathlib import Path

import environ
from django.core.exceptions import ImproperlyConfigured
from django.templatetags.static import static

from hospient import database
from integrations.security import keyring

BASE_DIR = Path(__file__).resolve().parent.parent
VAR_DIR = BASE_DIR / "var"

env = environ.Env()
env.read_env(BASE_DIR / ".env")

DEBUG = env.bool("DEBUG", False)
TESTING = "pytest" in sys.modules
PUBLIC_URL = env("PUBLIC_URL", default="http://127.0.0.1:8000").rstrip("/")

# --- secrets -------------------------------------------------------------------------------------------------------------------
# `manage.py demo` makes its own keys. A server without keys, or with keys that protect nothing, refuses to start.

# Commands that need no keys may run without them.
KEYLESS = TESTING or sys.argv[1:2] in (["demo"], ["collectstatic"], ["makemigrations"], ["help"], ["--help"], ["spectacular"])
MAKES_KEYS = sys.argv[1:2] == ["rotate_keys"] and "--new-key" in sys.argv
"""Then it does not matter which there are: it is what one runs because they are missing or bad."""


def _secret(name: str, minimum: int, throwaway: str) -> str:
    value = env.str(name, "")
    if MAKES_KEYS or (KEYLESS and not value):
        return throwaway
    if len(value) < minimum or value.lower().startswith(("change", "your-", "django-insecure")):
        raise ImproperlyConfigured(
            f"{name} is missing, a default, or shorter than {minimum} characters. Set it in the environment or in .env; "
            "`python manage.py rotate_keys --new-key` prints a good one."
        )
    return value


SECRET_KEY = _secret("SECRET_KEY", 50, secrets.token_urlsafe(50))
ENCRYPTION_KEY = _secret("ENCRYPTION_KEY", 64, keyring.new_entry())
keyring.parse_ring(ENCRYPTION_KEY, other_key=SECRET_KEY)

# --- applications --------------------------------------------------------------------------------------------------------------

INSTALLED_APPS = [
    "unfold",
    "unfold.contrib.filters",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "rest_framework",
    "knox",
    "django_filters",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "drf_standardized_errors",
    "django_tasks",
    "django_tasks_db",
    "hospient",
    "hotels",
    "integrations",
    "webhooks",
    "monitoring",
]

MIDDLEWARE = [
    "django_prometheus.middleware.PrometheusBeforeMiddleware",
    "hospient.middleware.CorrelationMiddleware",
    "hospient.middleware.ContentPolicyMiddleware",
    "hospient.middleware.ApiPathMiddleware",
    "hospient.middleware.SizeMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_prometheus.middleware.PrometheusAfterMiddleware",
]

ROOT_URLCONF = "hospient.urls"
WSGI_APPLICATION = "hospient.wsgi.application"
APPEND_SLASH = False
CSRF_FAILURE_VIEW = "hospient.errors.csrf_failure"
SILENCED_SYSTEM_CHECKS = ["django_ratelimit.W001"]  # it does not know Django's own RedisCache

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

# --- database ------------------------------------------------------------------------------------------------------------------

VAR_DIR.mkdir(mode=0o700, exist_ok=True)
DATABASES = {"default": database.configuration(os.environ.get("DATABASE_URL", f"sqlite:///{VAR_DIR / 'hospient.sqlite3'}"))}
if DATABASES["default"]["ENGINE"].endswith("sqlite3"):
    # WAL lets readers go on while one writes; an immediate transaction waits for the lock instead of failing in the middle.
    DATABASES["default"]["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA foreign_keys=ON;",
    }
elif not TESTING:
    # A connection that a restart of the server ended is found when it is taken from the pool, not by whoever works with it.
    DATABASES["default"]["CONN_HEALTH_CHECKS"] = True
    DATABASES["default"].setdefault("OPTIONS", {})["pool"] = {"min_size": 1, "max_size": env.int("DATABASE_POOL", 20)}
# A pooler in transaction mode gives the next statement another connection, which knows nothing of a cursor. Prepared statements are off
# for the same reason, by Django's own default.
DATABASES["default"]["DISABLE_SERVER_SIDE_CURSORS"] = True

DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# --- shared memory: breakers, budgets, rate limits ------------------------------------------------------------------------------
# It has to be atomic over processes: Redis where there is one, else the database.

REDIS_URL = env.str("REDIS_URL", "")
CACHES = {
    "default": (
        {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": REDIS_URL}
        if REDIS_URL
        # Django's default of 300 entries would throw live counters out.
        else {"BACKEND": "hospient.cache.AtomicDatabaseCache", "LOCATION": "shared_cache", "OPTIONS": {"MAX_ENTRIES": 20_000}}
    )
}
RATELIMIT_USE_CACHE = "default"

# --- background work -----------------------------------------------------------------------------------------------------------

TASKS = {
    "default": {
        "BACKEND": env.str("TASKS_BACKEND", "django_tasks_db.DatabaseBackend"),
        "QUEUES": [],
    }
}
CELERY_BROKER_URL = env.str("CELERY_BROKER_URL", "")
"""RabbitMQ (`amqp://`) or Redis (`redis://`), for the Celery backend alone."""

# --- calls to vendors ----------------------------------------------------------------------------------------------------------

INTEGRATION_TIMEOUT = env.int("INTEGRATION_TIMEOUT", 30_000)
"""Milliseconds one call to a vendor may take in all."""
INTEGRATION_RETRY_ATTEMPTS = env.int("INTEGRATION_RETRY_ATTEMPTS", 3)
"""How often a call that may be repeated is repeated."""
WEBHOOK_TIMEOUT = env.int("WEBHOOK_TIMEOUT", 10_000)
"""Milliseconds a vendor gets to send us the body of a webhook."""
WEBHOOK_MAX_BYTES = env.int("WEBHOOK_MAX_BYTES", 1_048_576)
WEBHOOK_RATES = {
    "pos": env.str("WEBHOOK_RATE_POS", "60000/m"),
    "pms": env.str("WEBHOOK_RATE_PMS", "60000/m"),
    "guest_management": env.str("WEBHOOK_RATE_GUEST_MANAGEMENT", "60000/m"),
}
"""How many authentic webhooks one address may send for an integration, by its type: a minute (`600/m`) or a second (`20/s`), over all
processes. All addresses together may send four times that."""
EGRESS_ALLOW = env.list("EGRESS_ALLOW", default=[])
"""Private addresses that may be called all the same: `host:port` or networks. For the operator alone."""
EGRESS_CA_BUNDLE = env.str("EGRESS_CA_BUNDLE", "")
"""File with certificate authorities to trust beside the usual ones. For the operator alone."""

# --- people and tokens ---------------------------------------------------------------------------------------------------------

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
]
LOGIN_URL = "admin:login"
LOGIN_REDIRECT_URL = "admin:index"
AUTHENTICATION_BACKENDS = ["hotels.login.GuardedBackend"]
TRUSTED_PROXIES = env.int("TRUSTED_PROXIES", 0)
"""How many proxies in front of us write X-Forwarded-For; 0 takes the address from the socket."""

# --- API -----------------------------------------------------------------------------------------------------------------------

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["hotels.api.authentication.TokenAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["integrations.api.parsers.JSONParser"],
    "DEFAULT_PAGINATION_CLASS": "hotels.api.lists.Pages",
    "DEFAULT_FILTER_BACKENDS": ["hotels.api.lists.FilterBackend"],
    "DEFAULT_SCHEMA_CLASS": "hospient.openapi.AutoSchema",
    "DEFAULT_THROTTLE_CLASSES": ["hotels.api.rates.UserAtHotel"],
    "DEFAULT_METADATA_CLASS": None,  # OPTIONS says nothing that /api/schema does not
    "EXCEPTION_HANDLER": "drf_standardized_errors.handler.exception_handler",
    "URL_FORMAT_OVERRIDE": None,
}
DRF_STANDARDIZED_ERRORS = {
    "EXCEPTION_HANDLER_CLASS": "integrations.api.errors.ExceptionHandler",
    "EXCEPTION_FORMATTER_CLASS": "integrations.api.errors.ExceptionFormatter",
}
KNOX_TOKEN_MODEL = "hotels.ApiToken"  # noqa: S105
MIGRATION_MODULES = {"knox": None}  # its only table is replaced by ours
REST_KNOX = {
    "TOKEN_MODEL": KNOX_TOKEN_MODEL,
    "AUTH_HEADER_PREFIX": "Bearer",
    "TOKEN_PREFIX": "hsp_",
    "TOKEN_TTL": timedelta(days=env.int("TOKEN_DAYS", 30)),
}
API_RATES = {
    "reads": env.str("API_RATE_READS", "1200/m"),
    "writes": env.str("API_RATE_WRITES", "600/m"),
    "pos": env.str("API_RATE_POS", "300/m"),
    "pms": env.str("API_RATE_PMS", "300/m"),
    "guest_management": env.str("API_RATE_GUEST_MANAGEMENT", "300/m"),
}
"""How often one user may read and write at one hotel; and how often the API may go to the vendor of one integration, by its type, reads and
writes counted apart."""

SPECTACULAR_SETTINGS = {
    "TITLE": "Hospient",
    "DESCRIPTION": """Connects a hotel's point of sale, property management and guest management systems.

- **Signing in:** `POST /api/auth/token` gives a token once; send it as `Authorization: Bearer <token>`.
- **Ids:** in a body a number is Hospient's own id and a text the vendor's; in an address `id:12` is Hospient's own id 12.
- **Money** is decimal, in major units; times are ISO 8601 with a zone.
- **Writes at a vendor** take an `Idempotency-Key`: 201 when done, 202 when it goes on by itself.
- **Lists** are paged by `limit` (at most 200) and `offset`; `next` is null on the last page. Rows are not counted.
- **Errors** all look alike: decide by `errors[].code`, show `detail` and `hint`, quote `correlation_id`.
""",
    "VERSION": "1.0",
    "OAS_VERSION": "3.1.1",
    "SCHEMA_PATH_PREFIX": "/api",
    "DEFAULT_GENERATOR_CLASS": "hospient.openapi.SchemaGenerator",
    "POSTPROCESSING_HOOKS": ["drf_spectacular.hooks.postprocess_schema_enum_id_removal"],  # choices stay where they are used
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
    "SERVE_AUTHENTICATION": [],
}

# --- servers: what a connection may take (docs/limits.md) -----------------------------------------------------------------------

SERVER_THREADS = env.int("SERVER_THREADS", 4)
"""Requests that one process of console and API works at a time."""
SERVER_HEAD_BYTES = env.int("SERVER_HEAD_BYTES", 32_768)
"""What the head of a request may have; at least 8,192. Granian allows 100 headers in it."""
SERVER_HEAD_TIMEOUT = env.int("SERVER_HEAD_TIMEOUT", 10_000)
"""Milliseconds until a connection has sent the whole head of its first request, or of the next one after an answer."""
SERVER_BODY_TIMEOUT = env.int("SERVER_BODY_TIMEOUT", 30_000)
"""Milliseconds for the whole body of a request to console and API. Webhooks have WEBHOOK_TIMEOUT."""
SERVER_ANSWER_TIMEOUT = env.int("SERVER_ANSWER_TIMEOUT", 30_000)
"""Milliseconds that a client may take nothing of an answer (on Linux)."""
SERVER_CONNECTIONS = env.int("SERVER_CONNECTIONS", 4096)
"""Connections that one process holds; others wait until one is closed."""
SERVER_CONNECTIONS_PER_ADDRESS = env.int("SERVER_CONNECTIONS_PER_ADDRESS", 150)
"""Connections that one address may hold to one process. Behind proxies (TRUSTED_PROXIES) the proxy counts."""

# --- web -----------------------------------------------------------------------------------------------------------------------

ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["127.0.0.1", "localhost", "testserver"])
CSRF_TRUSTED_ORIGINS = [PUBLIC_URL]
STATIC_URL = "/static/"
STATIC_ROOT = VAR_DIR / "static"
STATIC_ROOT.mkdir(exist_ok=True)
WHITENOISE_USE_FINDERS = True
X_FRAME_OPTIONS = "DENY"

HTTPS = PUBLIC_URL.startswith("https://")
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE_SSL_REDIRECT = HTTPS
SECURE_REDIRECT_EXEMPT = [r"^(healthz|readyz|metrics)$"]  # asked for inside the house, without TLS
SECURE_HSTS_SECONDS = 31_536_000 if HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = HTTPS
if TRUSTED_PROXIES:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")

LANGUAGE_CODE = "en-gb"
TIME_ZONE = "UTC"
USE_TZ = True
USE_THOUSAND_SEPARATOR = True

METRICS_ALLOW = env.list("METRICS_ALLOW", default=["127.0.0.0/8", "::1/128"])
"""Networks that may read /metrics."""

# --- console -------------------------------------------------------------------------------------------------------------------

UNFOLD = {
    "SITE_TITLE": "Hospient",
    "SITE_HEADER": "Hospient",
    "SITE_SUBHEADER": "Hotel integrations",
    "SITE_SYMBOL": "concierge",
    "SITE_URL": None,
    "SITE_FAVICONS": [{"rel": "icon", "type": "image/svg+xml", "href": lambda request: static("hospient/favicon.svg")}],
    "SHOW_VIEW_ON_SITE": False,
    "STYLES": [lambda request: static("hospient/console.css")],
    "SCRIPTS": [lambda request: static("hospient/console.js")],
    "DASHBOARD_CALLBACK": "hospient.dashboard.callback",
    "SIDEBAR": {"navigation": "hospient.navigation.sidebar"},
    "COLORS": {
        "primary": {  # petrol: white on 600 reads at 6 to 1, 500 on the dark ground at 5 to 1
            "50": "oklch(97.5% .013 200)", "100": "oklch(94.5% .03 200)", "200": "oklch(89.5% .055 200)", "300": "oklch(82.5% .085 200)",
            "400": "oklch(74% .105 202)", "500": "oklch(64% .105 205)", "600": "oklch(48% .085 210)", "700": "oklch(42% .074 212)",
            "800": "oklch(36% .062 214)", "900": "oklch(31% .052 216)", "950": "oklch(22% .04 218)",
        },
    },
}  # fmt: skip

# --- logs ----------------------------------------------------------------------------------------------------------------------

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "json": {"()": "hospient.logs.RedactingFormatter", "fmt": "%(asctime)s %(levelname)s %(name)s %(message)s"},
    },
    "filters": {"hospient": {"()": "hospient.logs.ContextFilter"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "json", "filters": ["hospient"]}},
    "root": {"handlers": ["console"], "level": env.str("LOG_LEVEL", "INFO")},
    "loggers": {"django_tasks_db": {"level": "WARNING"}},  # two lines a job would hide ours
}
