"""A run's range is of days. What was stored are moments: midnight at the hotel, which in UTC may be another day."""

from zoneinfo import ZoneInfo

from django.db import migrations, models


def keep_the_hotels_days(apps, schema_editor):
    SyncRun = apps.get_model("integrations", "SyncRun")
    for run in SyncRun.objects.exclude(since=None, until=None).select_related("integration__hotel").iterator():
        zone = ZoneInfo(run.integration.hotel.time_zone)
        run.first_day, run.last_day = (moment and moment.astimezone(zone).date() for moment in (run.since, run.until))
        run.save(update_fields=["first_day", "last_day"])


class Migration(migrations.Migration):
    dependencies = [("integrations", "0001_initial")]

    operations = [
        migrations.AddField("syncrun", "first_day", models.DateField(blank=True, null=True)),
        migrations.AddField("syncrun", "last_day", models.DateField(blank=True, null=True)),
        migrations.RunPython(keep_the_hotels_days, migrations.RunPython.noop, elidable=True),
        migrations.RemoveField("syncrun", "since"),
        migrations.RemoveField("syncrun", "until"),
        migrations.RenameField("syncrun", "first_day", "since"),
        migrations.RenameField("syncrun", "last_day", "until"),
    ]
