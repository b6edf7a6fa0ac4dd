"""The entry point of every process: `app` for the web server, `celery_app` for the workers."""

from imgcompress import create_app
from imgcompress.config import load_settings
from imgcompress.errors import SettingsError
from imgcompress.ledger.metric_values import save_share
from imgcompress.logs import write_logs
from imgcompress.metrics import SHARE

try:
    _settings = load_settings()
    write_logs(_settings.log_format, _settings.log_level)
    app = create_app(_settings)
except SettingsError as error:
    raise SystemExit(error.message) from error
celery_app = app.extensions["celery"]


def _save_metrics() -> None:
    with app.app_context():
        save_share()


SHARE.save_by(_save_metrics)
