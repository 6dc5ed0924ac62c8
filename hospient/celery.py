"""Celery as an engine, for many machines: `TASKS_BACKEND=hospient.celery.CeleryBackend` with RabbitMQ or Redis as CELERY_BROKER_URL.

Needs requirements-scale.txt; nothing imports this module unless the setting names it. Code enqueues through Django's Tasks API as ever;
`hospient.engines` runs the worker.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from celery import Celery
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured, SuspiciousOperation
from django.db import close_old_connections
from django.utils import timezone
from django.utils.module_loading import import_string
from django_tasks.backends.base import BaseTaskBackend
from django_tasks.base import Task, TaskResult, TaskResultStatus
from django_tasks.signals import task_enqueued

if not settings.CELERY_BROKER_URL:
    raise ImproperlyConfigured(
        "TASKS_BACKEND is Celery, but CELERY_BROKER_URL is empty. Set it to amqp://user:password@host:5672// or redis://host:6379/1."
    )

REDIS = {"visibility_timeout": 60, "unacked_restore_interval": 5, "unacked_restore_throttle": 1}
"""Seconds. Redis does not notice that a worker died; Celery delivers its jobs again after an hour unless told otherwise, and looks for them
every hundred seconds. A job that is delivered again while it is still worked finds its row leased and does nothing."""

app = Celery("hospient", broker=settings.CELERY_BROKER_URL, fixups=[], set_as_current=False)
app.conf.update(
    broker_connection_retry_on_startup=True,
    broker_connection_max_retries=None,
    broker_transport_options=REDIS if settings.CELERY_BROKER_URL.startswith("redis") else {},
    task_default_queue="hospient",
    task_ignore_result=True,
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    worker_prefetch_multiplier=1,
    # After a lost connection a job's thread would ask the broker for something while the consumer's thread does: both wait for ever.
    worker_enable_prefetch_count_reduction=False,
    worker_enable_remote_control=False,
)


@app.task(name="hospient.run")
def run(path: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
    """Run a task of the Tasks API. A message can name nothing else."""
    task = import_string(path)
    if not isinstance(task, Task):
        raise SuspiciousOperation(f"{path} is no task")
    close_old_connections()
    try:
        task.call(*args, **kwargs)
    finally:
        close_old_connections()


class CeleryBackend(BaseTaskBackend):
    """Sends tasks to the broker. They begin as soon as a worker is free: what is to be done later is not enqueued before it is due."""

    def enqueue(self, task: Task, args: Sequence[Any], kwargs: Mapping[str, Any]) -> TaskResult:
        """Send a task. Raises kombu.exceptions.OperationalError if the broker cannot be reached."""
        self.validate_task(task)
        sent = run.apply_async((task.module_path, list(args), dict(kwargs)))
        result = TaskResult(
            task=task,
            id=sent.id,
            status=TaskResultStatus.READY,
            enqueued_at=timezone.now(),
            started_at=None,
            finished_at=None,
            last_attempted_at=None,
            args=list(args),
            kwargs=dict(kwargs),
            backend=self.alias,
            errors=[],
            worker_ids=[],
        )
        task_enqueued.send(type(self), task_result=result)
        return result
