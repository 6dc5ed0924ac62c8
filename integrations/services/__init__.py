"""What API, console, commands and workers call. One service class a kind; one folder a vendor."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from integrations.models import Integration
    from integrations.services.service import IntegrationService


def service_for(integration: "Integration", **options: Any) -> "IntegrationService":
    """Return the service of an integration's kind; takes what `IntegrationService` takes."""
    # Imported here: a vendor's folder is below this package and must not pull the services in.
    from integrations.services.guest_management import GuestManagementService
    from integrations.services.pms import PmsService
    from integrations.services.pos import PosService

    kinds = {service.kind: service for service in (PosService, PmsService, GuestManagementService)}
    return kinds[integration.integration_type](integration, **options)
