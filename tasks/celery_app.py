"""The Celery application, the same for those who send tasks and those who run them."""

from celery import Celery

from app.connections import celery_broker
from app.settings import Settings

REPLY = "reply"
TITLE = "title"
SUMMARY = "summary"
QUEUE = "replies"
# In Redis the lowest number is taken first; these are kombu's own steps, each a list of its own.
PRIORITIES = (0, 3, 6, 9)


def make_celery(settings: Settings) -> Celery:
    broker, options = celery_broker(settings.celery_broker_url)
    celery = Celery("parley", broker=broker)
    celery.conf.update(
        **options,
        task_default_queue=QUEUE,
        # A task is a wake-up call: the ledger decides what is done, so Celery need not remember results, and a message
        # is best acknowledged early (on these pools a killed worker's late ones would never come back anyway).
        task_ignore_result=True,
        # Or each task's greenlet would make a backend of its own, to put no result into.
        result_backend_thread_safe=True,
        task_acks_late=False,
        worker_prefetch_multiplier=1,
        worker_concurrency=settings.worker_concurrency,
        # For Flower. No event says that a task was sent, which is Celery's own choice as well: it would cost the sender
        # half as much again, in the web tier. Flower shows a task from the moment a worker has received it.
        worker_send_task_events=True,
        worker_hijack_root_logger=False,
        broker_connection_retry_on_startup=True,
        # A broker that takes no writes, as a replica does, is waited for as if it were away; else the worker ends.
        broker_channel_error_retry=True,
        # By name: those who only send tasks need none of it.
        worker_consumer="tasks.consumer:Consumer",
        # A reply outlives a lost broker connection; cancelling it would only have it written again.
        worker_cancel_long_running_tasks_on_connection_loss=False,
    )
    celery.events.dispatcher_cls = "tasks.events:BatchedEvents"
    return celery
