"""The engines behind Django's Tasks API: what goes in comes out at a worker, and nothing else can be made to run."""

import importlib
import sys
import threading
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured, SuspiciousOperation
from django.db import connection
from django_tasks import task
from django_tasks.exceptions import InvalidTaskError
from django_tasks_db import DatabaseBackend
from django_tasks_db.models import DBTaskResult

from hospient import engines

done: list[tuple[Any, ...]] = []


@task()
def note(*args: Any, **kwargs: Any) -> None:
    done.append((args, kwargs))


@task()
def fail() -> None:
    raise RuntimeError("a fault of ours")


@pytest.fixture(autouse=True)
def nothing_done() -> None:
    done.clear()


def test_a_backend_without_an_engine_is_refused_by_name(settings: Any) -> None:
    settings.TASKS = {"default": {"BACKEND": "django_tasks.backends.immediate.ImmediateBackend"}}
    with pytest.raises(ImproperlyConfigured, match="ImmediateBackend"):
        engines.chosen()


def test_celery_is_not_imported_unless_it_is_chosen() -> None:
    assert "hospient.celery" not in sys.modules


@pytest.mark.django_db(transaction=True)
class TestDatabaseEngine:
    @pytest.fixture
    def stopping(self, monkeypatch: pytest.MonkeyPatch) -> threading.Event:
        event = threading.Event()
        monkeypatch.setattr(engines, "stopping", event)
        monkeypatch.setattr(engines.DatabaseEngine, "POLL_SECONDS", 0.02)
        return event

    def test_jobs_are_worked_and_one_that_fails_holds_up_none(self, stopping: threading.Event) -> None:
        backend = DatabaseBackend("default", {"QUEUES": []})
        backend.enqueue(fail, (), {})
        backend.enqueue(note, (7,), {"times": 2})
        engine = engines.DatabaseEngine()
        engine.start()
        for _ in range(250):
            if DBTaskResult.objects.finished().count() == 2:
                break
            stopping.wait(0.02)
        stopping.set()
        assert engine.join(5)
        assert done == [((7,), {"times": 2})]
        assert sorted(DBTaskResult.objects.values_list("status", flat=True)) == ["FAILED", "SUCCESSFUL"]

    def test_what_this_process_enqueues_is_worked_at_once(self, stopping: threading.Event, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(engines.DatabaseEngine, "POLL_SECONDS", 60)
        engine = engines.DatabaseEngine()
        engine.start()
        stopping.wait(0.1)
        DatabaseBackend("default", {"QUEUES": []}).enqueue(note, (7,), {})
        for _ in range(250):
            if done:
                break
            stopping.wait(0.02)
        stopping.set()
        assert engine.join(5)
        assert done == [((7,), {})]

    def test_nothing_is_begun_once_the_worker_shall_stop(self, stopping: threading.Event) -> None:
        DatabaseBackend("default", {"QUEUES": []}).enqueue(note, (7,), {})
        stopping.set()
        engine = engines.DatabaseEngine()
        engine.start()
        assert engine.join(5)
        assert done == []
        assert DBTaskResult.objects.ready().count() == 1

    def test_what_a_dead_worker_had_in_hand_is_put_back(self) -> None:
        DatabaseBackend("default", {"QUEUES": []}).enqueue(note, (7,), {})
        DBTaskResult.objects.update(status="RUNNING", started_at="2026-01-01T00:00:00Z")
        engines.DatabaseEngine().recover()
        assert DBTaskResult.objects.ready().count() == 1


class TestCelery:
    @pytest.fixture
    def celery(self, settings: Any) -> Iterator[ModuleType]:
        pytest.importorskip("celery", reason="Celery is not installed (requirements-scale.txt): its backend is not checked")
        settings.CELERY_BROKER_URL = "memory://"
        yield importlib.import_module("hospient.celery")
        del sys.modules["hospient.celery"]

    @pytest.fixture
    def backend(self, celery: ModuleType) -> Any:
        return celery.CeleryBackend("default", {"QUEUES": []})

    def sent(self, celery: ModuleType) -> tuple[Any, Any]:
        """Take the next message from the queue: which Celery task, and with what."""
        with celery.app.connection() as broker:
            message = broker.SimpleQueue("hospient").get(timeout=1)
            return message.headers["task"], message.decode()[0]

    def test_a_task_is_sent_by_its_path_with_its_arguments_and_run_at_the_other_end(
        self, celery: ModuleType, backend: Any, db: None
    ) -> None:
        result = backend.enqueue(note, (7,), {"times": 2})
        name, (path, args, kwargs) = self.sent(celery)
        assert (name, path) == ("hospient.run", f"{__name__}.note")
        assert (result.args, result.kwargs, result.status) == ([7], {"times": 2}, "READY")
        celery.run(path, args, kwargs)
        assert done == [((7,), {"times": 2})]

    @pytest.mark.parametrize("path", ["os.system", "hospient.celery.app", "tests.test_engines.done"])
    def test_a_message_can_name_nothing_but_a_task(self, celery: ModuleType, path: str) -> None:
        with pytest.raises(SuspiciousOperation):
            celery.run(path, ["true"], {})

    def test_what_is_to_be_done_later_is_refused(self, celery: ModuleType, backend: Any) -> None:
        later = type(note)(func=note.func, queue_name=note.queue_name)
        object.__setattr__(later, "run_after", "2027-01-01")
        with pytest.raises(InvalidTaskError, match="run_after"):
            backend.enqueue(later, (), {})

    def test_a_job_leaves_no_connection_behind(self, celery: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
        closed = []
        monkeypatch.setattr(celery, "close_old_connections", lambda: closed.append(connection.alias))
        with pytest.raises(RuntimeError):
            celery.run(f"{__name__}.fail", [], {})
        assert len(closed) == 2

    def test_a_message_is_acknowledged_after_the_work_and_one_is_fetched_at_a_time(self, celery: ModuleType) -> None:
        conf = celery.app.conf
        assert conf.task_acks_late
        assert conf.task_reject_on_worker_lost
        assert (conf.worker_prefetch_multiplier, conf.task_ignore_result) == (1, True)

    def test_without_a_broker_it_says_what_to_set(self, celery: ModuleType, settings: Any) -> None:
        settings.CELERY_BROKER_URL = ""
        with pytest.raises(ImproperlyConfigured, match="CELERY_BROKER_URL"):
            importlib.reload(celery)
