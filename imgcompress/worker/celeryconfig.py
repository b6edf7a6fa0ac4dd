"""Celery settings that hold for every installation; the broker's address comes from config.py.

The state is in the ledger and a message is only a notification, so these settings need not make the
broker reliable. They keep it fast, and keep an error in one task from affecting others.
"""

import socket

# Only JSON: nothing that arrives from the broker is ever unpickled.
task_serializer = "json"
result_serializer = "json"
accept_content = ["json"]
enable_utc = True

# The state of a job is in the ledger; Celery's results are not used.
task_ignore_result = True
result_backend = None

# A message is acknowledged when its slice is done, so that the broker itself redelivers the
# messages of a worker that died. A pool process that dies gives its message back at once.
task_acks_late = True
task_reject_on_worker_lost = True
# A task that raises is a bug and must not loop; the lease and recovery repeat its work.
task_acks_on_failure = True
# A hard time limit would otherwise acknowledge the message in spite of acks_late.
task_acks_on_timeout = False
# The seconds in which a task claims slices, and a slice starts images; the rest is released
# after that. The longest download and compression come on top of it.
SLICE_SECONDS = 60.0
# A slice is released after its time budget; these limits end only tasks that hang.
task_soft_time_limit = 240
task_time_limit = 300

# With acks_late: reserve nothing beyond what runs, so that idle workers find the messages.
worker_prefetch_multiplier = 1
# Image libraries fragment memory; a fresh process now and then keeps it bounded (KiB).
worker_max_tasks_per_child = 500
worker_max_memory_per_child = 700_000
# At SIGTERM slices are released within seconds, and the worker ends. At SIGQUIT it waits this long
# in any case, and then kills the tasks that still run.
worker_soft_shutdown_timeout = 30.0
# A slice continues while the broker is away: its lease, not the broker, reserves it.
worker_cancel_long_running_tasks_on_connection_loss = False
# Not used, and RabbitMQ 4.3 rejects the transient queues of remote control.
worker_enable_remote_control = False
worker_send_task_events = False

# A worker waits for its broker without a limit.
broker_connection_retry_on_startup = True
broker_connection_max_retries = None
broker_channel_error_retry = True
broker_connection_timeout = 2.0
broker_heartbeat = 30

# An upload answers within 3 s also when the broker is down: recovery publishes later.
task_publish_retry = True
task_publish_retry_policy = {
    "max_retries": 1,
    "interval_start": 0,
    "interval_step": 0.2,
    "interval_max": 0.2,
}
# Every queue is declared by name in worker/celery_app.py; a mistyped one is an error.
task_create_missing_queues = False

# A broken connection is noticed after 10 + 3 * 5 s even if nothing is sent; by default the kernel
# would send its first probe after two hours. Not every system has all three options.
_KEEPALIVE = {
    getattr(socket, name): value
    for name, value in (("TCP_KEEPIDLE", 10), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 3))
    if hasattr(socket, name)
}
# Redis. The visibility timeout exceeds twice the hard time limit, so that no slice is redelivered
# while it runs. kombu looks for lost messages every `unacked_restore_interval` seconds times the
# throttle, which is 10 by default: 100 s.
REDIS_TRANSPORT = {
    "socket_keepalive_options": _KEEPALIVE,
    "visibility_timeout": 900,
    "unacked_restore_interval": 10,
    "unacked_restore_throttle": 1,
    "socket_connect_timeout": 1,
    "socket_timeout": 30,
    "socket_keepalive": True,
    "health_check_interval": 25,
    "retry_on_timeout": True,
}
# RabbitMQ. Without confirms a message can be lost between the publisher and a quorum queue.
AMQP_TRANSPORT = {"confirm_publish": True, "socket_settings": _KEEPALIVE}
