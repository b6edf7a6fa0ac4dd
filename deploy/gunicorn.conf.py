"""Configure the web server: `gunicorn -c deploy/gunicorn.conf.py wsgi:app`."""

import gc

from gunicorn.glogging import Logger

from imgcompress.config import load_settings
from imgcompress.logs import write_logs

_settings = load_settings()
write_logs(_settings.log_format, _settings.log_level)

# HOST and PORT. Without this line, gunicorn reads PORT itself and listens on every interface.
_host = f"[{_settings.host}]" if ":" in _settings.host else _settings.host
bind = f"{_host}:{_settings.port}"

# Requests wait for the database, the disk and slow clients, so each runs in a thread. There are two
# processes, so that a large CSV that one of them reads does not delay status polls in the other.
#
# A slow client holds a thread: up to 20 s for the headers, and 30 s for each 64 KiB of the body.
# There are enough threads for 200 such clients in either process; they are created on demand. The
# threads of a process share 15 database connections, and wait in turn. On the Internet, put nginx
# in front, which buffers slow requests (nginx.conf).
worker_class = "imgcompress.gunicorn_worker.PatientWorker"
workers = 2
# The processes are forked from one that has loaded the application: they start quickly and share
# its memory. New code needs a restart.
preload_app = True
threads = 256
# Further connections wait in the kernel's queue; idle ones hold no thread. Together with the files
# of uploads, these stay below 1,024 descriptors, the limit of a process on many systems.
worker_connections = 500

# On a restart, requests may finish within this time; longer uploads are cut off.
graceful_timeout = 20
# Longer than nginx keeps idle connections (60 s), so that it never sends a request on a connection
# that is being closed. An idle connection holds no thread.
keepalive = 75

# By default, gunicorn trusts X-Forwarded-Proto and SCRIPT_NAME from any program on this machine.
# TRUSTED_PROXIES alone says how many proxies are trusted (imgcompress/api).
forwarded_allow_ips = ""
secure_scheme_headers = {}
forwarder_headers = ""

# The service logs every request itself, with more detail.
accesslog = None


class logger_class(Logger):
    """Write gunicorn's own lines to the service's log."""

    def setup(self, cfg):
        """Set up gunicorn's logger, and pass its lines to the root logger."""
        super().setup(cfg)
        self.error_log.handlers.clear()
        self.error_log.propagate = True


# Nothing controls this server at run time, so a control socket would only be a risk.
control_socket_disable = True


def when_ready(server):
    """Exclude everything that is loaded now from garbage collection in the forked processes.

    It is never freed, and traversing it took a third of the Python time of reading a large CSV.
    """
    gc.collect()
    gc.freeze()


def post_worker_init(worker):
    """End requests that wait for a change when this worker is asked to stop."""
    worker.app.wsgi().extensions["serving"] = lambda: worker.alive
