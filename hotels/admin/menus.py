"""Menus: items with their variations, categories, taxes and choices. Prices belong to the point of sale; the words may be corrected here."""

from django.contrib import admin
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.utils.formats import number_format
from django.utils.safestring import SafeString

from hotels.admin.base import ArchiveFilter, HotelFilter, ReadOnlyInline, RecordAdmin, VendorRecordAdmin, archive_label
from hotels.models import MenuCategory, MenuItem, MenuTax, MenuVariation, ModifierList


def price(variation: MenuVariation) -> str:
    """Show an amount without needless zeros: "14.50 EUR"."""
    if variation.price is None:
        return "Asked for at the till"
    decimals = max(2, -variation.price.normalize().as_tuple().exponent)
    return f"{number_format(variation.price, decimals)} {variation.currency}".strip()


class ForSaleFilter(admin.SimpleListFilter):
    title, parameter_name = "available", "available"

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin) -> list[tuple[str, str]]:
        return [("yes", "Yes"), ("no", "No")]

    def queryset(self, request: HttpRequest, items: QuerySet) -> QuerySet:
        return {"yes": items.filter, "no": items.exclude}[self.value()](MenuItem.for_sale()) if self.value() in ("yes", "no") else items


class VariationInline(ReadOnlyInline):
    model = MenuVariation
    verbose_name_plural = "variations and prices"
    fields = ("name", "sku", "price_text", "for_sale", "sold_out_until", "state")
    readonly_fields = fields
    show_change_link = False

    @admin.display(description="Available", boolean=True)
    def for_sale(self, variation: MenuVariation) -> bool:
        return variation.is_for_sale

    @admin.display(description="Price")
    def price_text(self, variation: MenuVariation) -> str:
        return price(variation)

    @admin.display(description="State")
    def state(self, variation: MenuVariation) -> SafeString:
        return archive_label(variation)


@admin.register(MenuItem)
class MenuItemAdmin(RecordAdmin):
    list_display = ("name", "category", "prices", "for_sale", "hotel", "state")
    list_filter = (HotelFilter, ArchiveFilter, ForSaleFilter)
    list_select_related = ("hotel", "category")
    search_fields = ("name", "variations__sku")
    search_help_text = "Search by name or SKU"
    inlines = (VariationInline,)
    editable = ("name", "description", "category", "is_available", "position")
    fieldsets = (
        (None, {"fields": ("hotel", "name", "description", "category", "is_available", "position")}),
        ("From the point of sale", {"fields": ("sold_out_until", "choices", "tax_names", "archived", "changed")}),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        return super().get_queryset(request).prefetch_related("variations")

    @admin.display(description="Available", boolean=True)
    def for_sale(self, item: MenuItem) -> bool:
        return item.is_for_sale

    @admin.display(description="Price")
    def prices(self, item: MenuItem) -> str:
        shown = [price(variation) for variation in item.variations.all() if not variation.archived_at]
        return ", ".join(shown[:3]) + (f" and {len(shown) - 3} more" if len(shown) > 3 else "")

    @admin.display(description="Choices for the guest")
    def choices(self, item: MenuItem) -> str:
        return ", ".join(item.modifier_lists.values_list("name", flat=True)) or "None"

    @admin.display(description="Taxes")
    def tax_names(self, item: MenuItem) -> str:
        return ", ".join(str(tax) for tax in item.taxes.all()) or "None"


@admin.register(MenuCategory)
class MenuCategoryAdmin(RecordAdmin):
    list_display = ("name", "parent", "position", "hotel", "state")
    list_filter = (HotelFilter, ArchiveFilter)
    list_select_related = ("hotel", "parent")
    search_fields = ("name",)
    search_help_text = "Search by name"
    editable = ("name", "position")
    fieldsets = ((None, {"fields": ("hotel", "name", "position", "parent", "archived", "changed")}),)


@admin.register(MenuTax)
class MenuTaxAdmin(VendorRecordAdmin):
    list_display = ("name", "percentage", "is_included", "is_active", "hotel", "state")
    list_filter = (HotelFilter, ArchiveFilter)
    search_fields = ("name",)
    search_help_text = "Search by name"
    fieldsets = ((None, {"fields": ("hotel", "name", "percentage", "is_included", "is_active", "archived", "changed")}),)


@admin.register(ModifierList)
class ModifierListAdmin(VendorRecordAdmin):
    list_display = ("name", "option_names", "hotel", "state")
    list_filter = (HotelFilter, ArchiveFilter)
    search_fields = ("name",)
    search_help_text = "Search by name"
    fieldsets = ((None, {"fields": ("hotel", "name", "min_selected", "max_selected", "option_names", "archived", "changed")}),)

    @admin.display(description="Options")
    def option_names(self, modifiers: Model) -> str:
        names = ((str(option.get("name", "")), option.get("is_available", True)) for option in modifiers.options)
        return ", ".join(name if is_available else f"{name} (sold out)" for name, is_available in names)
