"""One readable line for each event on stderr, or one JSON object a line."""

import json
import logging
import sys
import time


class TextFormatter(logging.Formatter):
    """`2026-11-23 11:17:41.123 INFO  broker: text`; a traceback follows only for a defect."""

    def format(self, record: logging.LogRecord) -> str:
        moment = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(record.created))
        where = record.name.removeprefix("fastlog.")
        line = (
            f"{moment}.{int(record.msecs):03d} {record.levelname:<7} {where}: {record.getMessage()}"
        )
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


class JsonFormatter(logging.Formatter):
    """The same event as one JSON object: time (UTC, ms), level, source, message."""

    def format(self, record: logging.LogRecord) -> str:
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        event = {
            "time": f"{moment}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "source": record.name.removeprefix("fastlog."),
            "message": record.getMessage(),
        }
        if record.exc_info:
            event["traceback"] = self.formatException(record.exc_info)
        return json.dumps(event, ensure_ascii=False)


def configure(style: str, level: str = "INFO") -> None:
    """Sends the events of fastlog's loggers to stderr. `style` is "text" or "json"."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if style == "json" else TextFormatter())
    logger = logging.getLogger("fastlog")
    logger.handlers = [handler]
    logger.setLevel(level.upper())
    logger.propagate = False
