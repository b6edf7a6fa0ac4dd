"""What beat does with its schedule, which is in celery_app.py."""

from __future__ import annotations

import logging
from typing import Any

from celery.beat import Scheduler

log = logging.getLogger(__name__)


class SteadyScheduler(Scheduler):  # type: ignore[misc]
    """A schedule in memory alone. Tasks that come seldom know themselves when they ran last.

    Celery's default keeps the times of the last messages in a file. After a clock has been put
    back they lie in the future, and nothing is sent until then, whatever is restarted.
    """

    _away = False

    def apply_entry(self, entry: Any, producer: Any = None) -> None:
        """Send the message of an entry; one that cannot be sent is left out."""
        try:
            self.apply_async(entry, producer=producer, advance=False)
        except Exception as error:
            if not self._away:
                log.warning("The broker accepts no messages: %s", error)
            self._away = True
            return
        if self._away:
            log.warning("The broker accepts messages again")
        self._away = False
