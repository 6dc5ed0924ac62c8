"""What counts as one delivery: its id with its type and object, and its body where the id is not signed."""

from hashlib import blake2b

from django.db import migrations, models

import webhooks.models

CHUNK = 1000
UNSIGNED = "body"
"""The one scheme whose id is in a header that is not signed."""


def fill(apps, schema_editor):
    events = apps.get_model("webhooks", "WebhookEvent").objects.using(schema_editor.connection.alias)
    last = 0
    while rows := list(events.filter(pk__gt=last).order_by("pk")[:CHUNK]):
        for row in rows:
            content = ""
            if row.batch_id is None and row.verified_by == UNSIGNED:
                content = bytes(row.body).decode(errors="replace")
            elif row.batch_id is not None and row.event_id.rpartition("#")[2].isdecimal() and "#" in row.event_id:
                content = str(row.batch_id)
            parts = (row.event_id, row.event_type, row.object_key, content)
            row.delivery_key = blake2b("\0".join(parts).encode(), digest_size=16).hexdigest()
        events.bulk_update(rows, ["delivery_key"])
        last = rows[-1].pk


class Migration(migrations.Migration):
    dependencies = [("webhooks", "0001_initial")]

    operations = [
        migrations.AddField("webhookevent", "delivery_key", models.CharField(max_length=32, default="", editable=False)),
        migrations.RemoveConstraint("webhookevent", "event_once_per_integration"),
        migrations.RunPython(fill, migrations.RunPython.noop, elidable=True),
        migrations.AlterField(
            "webhookevent",
            "delivery_key",
            models.CharField(max_length=32, default=webhooks.models._key_of_its_own, editable=False),
        ),
        migrations.AddConstraint(
            "webhookevent",
            models.UniqueConstraint(fields=["integration", "delivery_key"], name="event_once_by_delivery_key"),
        ),
    ]
