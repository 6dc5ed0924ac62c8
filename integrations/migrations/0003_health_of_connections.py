"""How a connection is, with its error in parts. What was known before this is taken over: a sync that ended was a success."""

from django.db import migrations, models
from django.db.models import F


def take_over(apps, schema_editor):
    integrations = apps.get_model("integrations", "Integration").objects
    integrations.exclude(last_sync_at=None).update(last_success_at=F("last_sync_at"))
    integrations.filter(status="error").update(failing_since=F("last_error_at"))


class Migration(migrations.Migration):
    dependencies = [("integrations", "0002_ranges_of_days")]

    operations = [
        migrations.AddField("integration", "failing_since", models.DateTimeField(editable=False, null=True)),
        migrations.AddField("integration", "last_error_code", models.CharField(blank=True, editable=False, max_length=64)),
        migrations.AddField("integration", "last_error_hint", models.TextField(blank=True, editable=False)),
        migrations.AddField("integration", "last_success_at", models.DateTimeField(editable=False, null=True)),
        migrations.AddField("integration", "test_due_at", models.DateTimeField(editable=False, null=True)),
        migrations.RunPython(take_over, migrations.RunPython.noop, elidable=True),
        migrations.AddIndex("integration", models.Index(fields=["test_due_at"], name="integration_test_du_392318_idx")),
    ]
