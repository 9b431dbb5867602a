"""gunicorn's settings for recsvc. `recsvc serve` passes bind, workers and threads; the rest is here.

gthread with keep-alive: on two cores gevent's slowest answers collapse when the CPU is contended, and sync
workers have no keep-alive.
"""

import os
from pathlib import Path

worker_class = "gthread"
wsgi_app = "recsvc.app:create_app()"
keepalive = 75
timeout = 30
graceful_timeout = 20
# The longest path is an id of 256 bytes, percent-encoded, with parameters.
limit_request_line = 8190
# Each worker builds its own app after the fork: threads and connections do not survive one.
preload_app = False
control_socket_disable = True
accesslog = None
# Gunicorn's own words as JSON lines too, without the request lines and addresses it puts into some of them.
logconfig_dict = {
    "handlers": {"json": {"class": "recsvc.logs.Gunicorn"}},
    "root": {"level": "WARNING", "handlers": ["json"]},
    "loggers": {"gunicorn.error": {"level": "INFO", "handlers": ["json"], "propagate": False}},
}


def on_starting(server):
    """Empty the folder in which workers share their counters: what a run before left would be added up."""
    folder = os.environ.get("PROMETHEUS_MULTIPROC_DIR")
    if folder:
        Path(folder).mkdir(parents=True, exist_ok=True)
        for old in Path(folder).glob("*.db"):
            old.unlink(missing_ok=True)


def child_exit(server, worker):
    """Forget the gauges of a worker that is gone."""
    if os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        from prometheus_client import multiprocess

        multiprocess.mark_process_dead(worker.pid)
