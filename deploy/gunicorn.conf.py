"""The web server's settings: `gunicorn -c deploy/gunicorn.conf.py wsgi:app`."""

import gc

from gunicorn.glogging import Logger

from imgcompress.config import load_settings
from imgcompress.logs import write_logs

_settings = load_settings()
write_logs(_settings.log_format, _settings.log_level)

# HOST and PORT. Without this line gunicorn would read PORT by itself and listen on every interface.
_host = f"[{_settings.host}]" if ":" in _settings.host else _settings.host
bind = f"{_host}:{_settings.port}"

# Requests wait for the database, the disk and slow clients: threads. Two processes, so that a
# large CSV that is being read in one of them does not hold up the status polls in the other.
#
# Whoever sends or takes bytes slowly holds a thread, 20 s for a head and 30 s for each 64 KiB of a
# body, so there are enough of them for 200 such clients in either process. A thread is made when
# it is needed first. They share the 15 database connections of their process, and wait for one in
# turn. On the Internet have nginx in front, which takes slow requests upon itself (nginx.conf).
worker_class = "imgcompress.serving.PatientWorker"
workers = 2
# The processes are forked from one that has loaded the application: they start at once, and share
# its memory. New code takes a restart.
preload_app = True
threads = 256
# Connections beyond these stay in the kernel's queue; idle ones hold no thread. With the files of
# uploads they stay below the 1,024 descriptors that many systems allow a process.
worker_connections = 500

# A request in work may finish; an upload that takes longer than this is cut off by a restart.
graceful_timeout = 20
# Longer than nginx keeps idle connections to us (60 s): it must not send a request into one that
# is just being closed. An idle connection occupies no thread.
keepalive = 75

# gunicorn would believe whatever any program of this machine writes into X-Forwarded-Proto and
# SCRIPT_NAME. TRUSTED_PROXIES alone says how many proxies are believed (imgcompress/api).
forwarded_allow_ips = ""
secure_scheme_headers = {}
forwarder_headers = ""

# The service logs every call itself, with more than gunicorn knows of it.
accesslog = None


class logger_class(Logger):
    """Gunicorn's own lines go where the service's go."""

    def setup(self, cfg):
        """Set up gunicorn's log as it likes, and then hand all on to the root's."""
        super().setup(cfg)
        self.error_log.handlers.clear()
        self.error_log.propagate = True


# Nothing controls this server at run time, and a control socket would be one more open door.
control_socket_disable = True


def when_ready(server):
    """Have the processes that are forked now never look for garbage in what is loaded by now.

    It stays for ever, and looking through it took a third of the time that the rows of a large CSV
    take in Python.
    """
    gc.collect()
    gc.freeze()


def post_worker_init(worker):
    """Let calls that wait for a change end when this worker is asked to."""
    worker.app.wsgi().extensions["serving"] = lambda: worker.alive
