"""Puts redaction before everything that a process writes: logs, standard output, Dagster's events and errors.

Dagster keeps what an exception says as it is, and has no place to put a filter before its event log; so the
two functions through which every event and every error passes are wrapped here. A test of the whole home
(`tests/pipeline/test_secrets.py`) fails when a new version of Dagster takes another way.
"""

import json
import logging
import sys
from collections.abc import Callable
from typing import Any, TextIO

from resources.redaction import MASK, redact, redact_value

# Names by which Dagster finds things again; none of them is a person's text.
_IDENTITIES = {"__class__", "__enum__", "step_key", "job_name", "run_id", "event_type_value", "asset_key"}
_BEGIN, _END = "PRIVATE KEY-----", "-----END"


def guard_process() -> None:
    """Guard logs and standard output of this process; safe to call again."""
    previous = logging.getLogRecordFactory()
    if not getattr(previous, "redacts", False):
        logging.setLogRecordFactory(_redacting(previous))
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is not None and not isinstance(stream, RedactingStream):
            setattr(sys, name, RedactingStream(stream))


def guard_dagster() -> None:
    """Guard what Dagster keeps: events, and errors of steps, ticks and code servers; safe to call again."""
    from dagster import DagsterInstance
    from dagster_shared.error import SerializableErrorInfo

    instances: Any = DagsterInstance
    errors: Any = SerializableErrorInfo
    handle = instances.handle_new_event
    if getattr(handle, "redacts", False):
        return

    def handle_new_event(self: Any, event: Any, **options: Any) -> Any:
        return handle(self, _clean_event(event), **options)

    handle_new_event.redacts = True  # type: ignore[attr-defined]
    instances.handle_new_event = handle_new_event
    explain = errors.from_traceback.__func__

    def from_traceback(cls: Any, traceback: Any) -> Any:
        return _clean_error(explain(cls, traceback))

    errors.from_traceback = classmethod(from_traceback)


class RedactedRecord(logging.LogRecord):
    """A log record whose message and exception are redacted, whatever handler formats it."""

    def getMessage(self) -> str:  # noqa: N802  logging's name
        """The message."""
        return redact(super().getMessage())

    @property
    def exc_text(self) -> str | None:
        """The exception as a formatter wrote it."""
        return self.__dict__.get("_exc_text")

    @exc_text.setter
    def exc_text(self, text: str | None) -> None:
        self.__dict__["_exc_text"] = redact(text) if text else text

    @property
    def stack_info(self) -> str | None:
        """The stack, where somebody asked for it."""
        return self.__dict__.get("_stack_info")

    @stack_info.setter
    def stack_info(self, text: str | None) -> None:
        self.__dict__["_stack_info"] = redact(text) if text else text


def _redacting(previous: Callable[..., logging.LogRecord]) -> Callable[..., logging.LogRecord]:
    def factory(*args: Any, **options: Any) -> logging.LogRecord:
        # Another's factory is asked first, so that what it adds stays.
        return (
            RedactedRecord(*args, **options)
            if previous is logging.LogRecord
            else _reclassed(previous(*args, **options))
        )

    factory.redacts = True  # type: ignore[attr-defined]
    return factory


def _reclassed(record: logging.LogRecord) -> logging.LogRecord:
    if type(record) is logging.LogRecord:
        texts = {name: record.__dict__.pop(name, None) for name in ("exc_text", "stack_info")}
        record.__class__ = RedactedRecord
        for name, text in texts.items():
            setattr(record, name, text)
    return record


class RedactingStream:
    """A text stream that writes whole lines, redacted; a flush writes what there is of a line."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._line = ""
        self._in_key = False

    def write(self, text: str) -> int:
        """Write; returns how much was taken."""
        *lines, self._line = (self._line + text).split("\n")
        for line in lines:
            self._stream.write(self._clean(line) + "\n")
        return len(text)

    def writelines(self, lines: Any) -> None:
        """Write each."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Write what there is."""
        if self._line:
            self._stream.write(redact(self._line))
            self._line = ""
        self._stream.flush()

    def _clean(self, line: str) -> str:
        """A private key goes over many lines."""
        if self._in_key:
            self._in_key = _END not in line
            return MASK
        self._in_key = "-----BEGIN" in line and _BEGIN in line and _END not in line
        return redact(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def __iter__(self) -> Any:
        return iter(self._stream)


def _clean_event(event: Any) -> Any:
    """The event without secrets; the same object where there is none."""
    from dagster._core.events.log import EventLogEntry
    from dagster._serdes import deserialize_value, serialize_value

    text = serialize_value(event)
    if redact(text) == text:
        return event
    cleaned = json.dumps(_clean_node(json.loads(text)))
    return deserialize_value(cleaned, EventLogEntry) if cleaned != text else event


def _clean_node(node: Any) -> Any:
    if isinstance(node, dict):
        return {name: value if name in _IDENTITIES else _clean_node(value) for name, value in node.items()}
    if isinstance(node, list):
        return [_clean_node(one) for one in node]
    return redact_value(node)


def _clean_error(error: Any) -> Any:
    from dagster_shared.error import SerializableErrorInfo

    return SerializableErrorInfo(
        message=redact(error.message),
        stack=[redact(frame) for frame in error.stack],
        cls_name=error.cls_name,
        cause=error.cause,
        context=error.context,
    )
