"""Secrets leave no trace in what is written down: known values and telling patterns become ***.

Known values are those of environment variables whose name or form says that they are secret, and everything
that was read as a secret (`know`). Each is looked for as it is, and as JSON, URLs and base64 write it.
"""

import base64
import json
import os
import re
from collections.abc import Iterator, Mapping, Set
from functools import lru_cache
from typing import Any
from urllib.parse import quote, unquote, urlsplit

MASK = "***"
_SHORTEST = 8  # what is shorter is no secret worth the text that it would mangle
# Passwords of examples: masking them would mangle ordinary words, and protect nothing.
_WORDS = frozenset(
    {"postgres", "postgresql", "password", "passw0rd", "changeme", "username", "minioadmin", "mlcicd-assets"}
    | {"production", "staging"}
)
_SECRET_NAME = re.compile(
    r"PASSWORD|PASSWD|PASSPHRASE|TOKEN|SECRET|CREDENTIAL|WEBHOOK|PRIVATE|APIKEY|(?:^|_)(?:KEY|PASS|PWD|DSN|PAT)(?:_|$)"
)
# Says where a secret is, or whose, not what.
_PLAIN_NAME = re.compile(r"_(?:FILE|PATH|DIR|FOLDER|ID|HEADER|NAME|USER|LIMIT|BUDGET)$")
_PATH_PART = 12
_KEY_LINE = 20  # characters from which a line of a PEM key is a secret of its own

# Telling wherever they stand, in pages and programs as well; each is tried only where a hint of it stands.
_STRONG: tuple[tuple[tuple[str, ...], re.Pattern[str], str], ...] = (
    (("://",), re.compile(r"://[^\s/@:'\"<>\\]*:[^\s/@'\"<>\\]+@"), f"://{MASK}@"),
    (("AKIA", "ASIA"), re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"), MASK),
    (
        ("gh", "glpat"),
        re.compile(r"\bgh[pousr]_[A-Za-z0-9]{20,}\b|\bgithub_pat_\w{20,}\b|\bglpat-[\w-]{16,}"),
        MASK,
    ),
    (("xox",), re.compile(r"\bxox[abeoprs]-[A-Za-z0-9-]{8,}"), MASK),
    (("hooks.slack",), re.compile(r"(https://hooks\.slack(?:-gov)?\.com/)[\w/+-]+"), rf"\1{MASK}"),
    (
        ("PRIVATE KEY-----",),
        re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.S),
        MASK,
    ),
)
# Telling in a message; in a page they would mangle programs.
_QUOTES = r"['\"\\]*"
_LOOSE: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"://[^\s/@'\"<>\\]+@"), f"://{MASK}@"),
    (
        re.compile(
            rf"(?i)\b((?:proxy-)?authorization{_QUOTES}\s*[:=]\s*{_QUOTES}(?:(?:basic|bearer|token|digest)\s+)?)"
            r"(?!\*\*\*|(?:basic|bearer|token|digest)\s)[^\s'\",;\\]+"
        ),
        rf"\1{MASK}",
    ),
    (re.compile(r"(?i)\b(bearer\s+)[A-Za-z0-9._~+/-]{12,}=*"), rf"\1{MASK}"),
    (
        re.compile(
            rf"(?i)((?:password|passwd|pwd|secret|token|api[_-]?key|access[_-]?key){_QUOTES}\s*[=:]\s*{_QUOTES})"
            r"(?!\*\*\*)[^\s'\"&,;\\<>(){}\[\]]{6,}"
        ),
        rf"\1{MASK}",
    ),
)
_LOOSE_HINT = re.compile(
    r"(?i)://|authorization|bearer|password|passwd|pwd|secret|token|api[_-]?key|access[_-]?key"
)

_read: set[str] = set()
_cached: list[Any] = [None, None]  # for which secrets, and the pattern that finds them


def know(value: str) -> str:
    """Remember a secret that was read, so that it is redacted from now on; returns it."""
    _read.update(_parts(value))
    return value


def redact(text: str) -> str:
    """A message without secrets."""
    text = redact_page(text)
    if text and _LOOSE_HINT.search(text):
        for pattern, instead in _LOOSE:
            text = pattern.sub(instead, text)
    return text


def redact_page(text: str) -> str:
    """A page, a file or a program's text without secrets; what only looks like one in a message stays."""
    text = redact_known(text)
    for hints, pattern, instead in _STRONG:
        if any(hint in text for hint in hints):
            text = pattern.sub(instead, text)
    return text


def redact_known(text: str) -> str:
    """A text without the secrets whose values are known."""
    found = _known_pattern() if text else None
    return found.sub(MASK, text) if found is not None else text


def redact_value(value: Any) -> Any:
    """JSON values with every text redacted; names stay."""
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, Mapping):
        return {name: redact_value(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(redact_value(one) for one in value) if type(value) in (list, tuple) else value
    return value


def environment_secrets(environment: Mapping[str, str]) -> frozenset[str]:
    """The secret values of an environment."""
    found: set[str] = set()
    for name, value in environment.items():
        if len(value) >= _SHORTEST:
            found.update(_secrets_of(name, value))
    return frozenset(found)


@lru_cache(maxsize=4096)
def _secrets_of(name: str, value: str) -> frozenset[str]:
    named = _SECRET_NAME.search(name.upper()) and not _PLAIN_NAME.search(name.upper()) and name != "PWD"
    if "PRIVATE KEY-----" in value or (named and not value.isdigit()):
        return frozenset(_parts(value))
    return frozenset(_of_url(value)) if "://" in value else frozenset()


def _of_url(url: str) -> Iterator[str]:
    try:
        parts = urlsplit(url)
        password = parts.password
    except ValueError:  # no URL after all
        return
    if password and password != parts.username:
        yield from _parts(password)
        yield from _parts(unquote(password))


def _parts(value: str) -> Iterator[str]:
    value = value.strip()
    if len(value) >= _SHORTEST and value.lower() not in _WORDS:
        yield value
    if "://" in value:  # of a webhook the path is the secret, and logs may show it alone
        place = value.partition("://")[2].partition("/")[2]
        yield from (part for part in re.split(r"[/?#&=]", place) if len(part) >= _PATH_PART)
    if "PRIVATE KEY-----" in value:
        yield from (line for line in value.splitlines() if len(line) >= _KEY_LINE and "-----" not in line)


def _known_pattern() -> re.Pattern[str] | None:
    """Made anew where the environment or what was read has changed: a line of a log costs microseconds."""
    # The environment's own mapping, as bytes: decoding every variable takes a hundred times as long.
    now = (tuple(getattr(os.environ, "_data", os.environ).items()), frozenset(_read))
    if _cached[0] != now:
        _cached[:] = [now, _pattern(_read | environment_secrets(os.environ))]
    found: re.Pattern[str] | None = _cached[1]
    return found


def _pattern(values: Set[str]) -> re.Pattern[str] | None:
    forms = {form for value in values for form in _forms(value)}
    if not forms:
        return None
    return re.compile("|".join(re.escape(form) for form in sorted(forms, key=len, reverse=True)))


def _forms(value: str) -> Iterator[str]:
    """As it is, and as other formats write it."""
    once = json.dumps(value)[1:-1]
    yield from (value, once, json.dumps(once)[1:-1], repr(value)[1:-1])
    yield from (quote(value, safe=""), quote(value))
    yield base64.b64encode(value.encode()).decode().rstrip("=")
