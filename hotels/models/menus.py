"""The hotel's menu."""

from django.db import models
from django.utils import timezone

from hotels.models.base import HotelRecord, listed


class MenuCategory(HotelRecord):
    name = models.CharField(max_length=255)
    position = models.BigIntegerField(default=0)
    parent = models.ForeignKey("self", null=True, blank=True, on_delete=models.SET_NULL, related_name="children")

    class Meta:
        verbose_name_plural = "menu categories"
        ordering = ["position", "name", "id"]
        indexes = [listed("category", "position", "name", "id")]

    def __str__(self) -> str:
        return self.name


class MenuTax(HotelRecord):
    name = models.CharField(max_length=255)
    percentage = models.DecimalField(max_digits=9, decimal_places=5, default=0)
    is_included = models.BooleanField("already in the price", default=False)
    is_active = models.BooleanField(default=True)

    class Meta:
        verbose_name_plural = "menu taxes"
        ordering = ["name", "id"]
        indexes = [listed("tax", "name", "id")]

    def __str__(self) -> str:
        return f"{self.name} {self.percentage.normalize():f} %"


class ModifierList(HotelRecord):
    """Choices a guest makes for an item."""

    name = models.CharField(max_length=255)
    min_selected = models.IntegerField(null=True, blank=True)
    max_selected = models.IntegerField(null=True, blank=True)
    options = models.JSONField(default=list, blank=True)
    """`{"external_id", "name", "price" (decimal text or null), "currency", "on_by_default", "is_available"}` each."""

    class Meta:
        ordering = ["name", "id"]
        indexes = [listed("modifier_list", "name", "id")]

    def __str__(self) -> str:
        return self.name


class ForSale(models.Model):
    """What may be sold out for a time: it is for sale again when that is over, whether or not anybody tells us."""

    is_available = models.BooleanField(default=True)
    sold_out_until = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        abstract = True

    @property
    def is_for_sale(self) -> bool:
        return self.is_available and (self.sold_out_until is None or self.sold_out_until <= timezone.now())

    @staticmethod
    def for_sale() -> models.Q:
        """Return the condition for what is for sale now."""
        over = models.Q(sold_out_until__isnull=True) | models.Q(sold_out_until__lte=timezone.now())
        return models.Q(is_available=True) & over


class MenuItem(ForSale, HotelRecord):
    name = models.CharField(max_length=512)
    description = models.TextField(blank=True)
    category = models.ForeignKey(MenuCategory, null=True, blank=True, on_delete=models.SET_NULL, related_name="items")
    position = models.BigIntegerField(default=0)
    modifier_lists = models.ManyToManyField(ModifierList, blank=True, related_name="items")
    taxes = models.ManyToManyField(MenuTax, blank=True, related_name="items")

    class Meta:
        ordering = ["position", "name", "id"]
        indexes = [listed("item", "position", "name", "id")]

    def __str__(self) -> str:
        return self.name


class MenuVariation(ForSale, HotelRecord):
    """What a check line refers to; the price lives here."""

    item = models.ForeignKey(MenuItem, on_delete=models.CASCADE, related_name="variations")
    name = models.CharField(max_length=255, blank=True)
    sku = models.CharField(max_length=255, blank=True)
    price = models.DecimalField(max_digits=16, decimal_places=4, null=True, blank=True, help_text="Empty: asked for at the till.")
    currency = models.CharField(max_length=3, blank=True)
    position = models.BigIntegerField(default=0)

    class Meta:
        ordering = ["position", "id"]
        indexes = [listed("variation", "position", "id")]

    def __str__(self) -> str:
        return f"{self.item} · {self.name}" if self.name else str(self.item)
