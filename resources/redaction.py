"""Secrets leave no trace in what is written down: known values and telling patterns become ***.

Known values are those of environment variables whose name or form says that they are secret, and everything
that was read as a secret (`know`). Each is looked for as it is, and as JSON, URLs and base64 write it.
"""

import base64
import json
import os
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from urllib.parse import quote, unquote, urlsplit

MASK = "***"
_SHORTEST = 6  # what is shorter is no secret worth the text that it would mangle
_SECRET_NAME = re.compile(
    r"PASSWORD|PASSWD|PASSPHRASE|TOKEN|SECRET|CREDENTIAL|WEBHOOK|PRIVATE|(?:^|_)(?:KEY|PASS|PWD|DSN|PAT)(?:_|$)|APIKEY"
)
_PLAIN_NAME = re.compile(r"_(?:FILE|PATH|DIR|FOLDER|ID|HEADER|NAME)$")  # says where a secret is, not what
_KEY_LINE = 20  # characters from which a line of a PEM key is a secret of its own

_PATTERNS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"(\b[a-zA-Z][a-zA-Z0-9+.-]*://)[^\s/@'\"<>\\]+@"), rf"\1{MASK}@"),
    (
        re.compile(
            r"(?i)\b((?:proxy-)?authorization['\"\\]*\s*[:=]\s*['\"\\]*(?:(?:basic|bearer|token|digest)\s+)?)[^\s'\",;\\]+"
        ),
        rf"\1{MASK}",
    ),
    (re.compile(r"(?i)\b(bearer\s+)[A-Za-z0-9._~+/-]{12,}=*"), rf"\1{MASK}"),
    (
        re.compile(
            r"(?i)((?:password|passwd|pwd|secret|token|api[_-]?key|access[_-]?key)['\"\\]*\s*[=:]\s*['\"\\]*)(?!\*\*\*)[^\s'\"&,;\\<>(){}\[\]]{6,}"
        ),
        rf"\1{MASK}",
    ),
    (re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"), MASK),
    (
        re.compile(
            r"\bgh[pousr]_[A-Za-z0-9]{20,}\b|\bgithub_pat_[A-Za-z0-9_]{20,}\b|\bglpat-[A-Za-z0-9_-]{16,}"
        ),
        MASK,
    ),
    (re.compile(r"\bxox[abeoprs]-[A-Za-z0-9-]{8,}"), MASK),
    (re.compile(r"(https://hooks\.slack(?:-gov)?\.com/)[A-Za-z0-9_/+-]+"), rf"\1{MASK}"),
    (
        re.compile(
            r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL
        ),
        MASK,
    ),
)
# Patterns are tried only where one of these stands: most texts hold none of them.
_HINTS = ("://", "AKIA", "ASIA", "gh", "glpat", "xox", "-----BEGIN")
_WORDS = re.compile(r"(?i)authorization|bearer|password|passwd|pwd|secret|token|api[_-]?key|access[_-]?key")

_read: set[str] = set()


def know(value: str) -> str:
    """Remember a secret that was read, so that it is redacted from now on; returns it."""
    _read.update(_parts(value))
    return value


def redact(text: str) -> str:
    """The text without secrets."""
    if not text:
        return text
    found = _matcher(frozenset(_read | environment_secrets(os.environ)))
    if found is not None:
        text = found.sub(MASK, text)
    if any(hint in text for hint in _HINTS) or _WORDS.search(text):
        for pattern, instead in _PATTERNS:
            text = pattern.sub(instead, text)
    return text


def holds_secret(text: str) -> bool:
    """Whether redacting would change it."""
    return redact(text) != text


def environment_secrets(environment: Mapping[str, str]) -> frozenset[str]:
    """The secret values of an environment."""
    found: set[str] = set()
    for name, value in environment.items():
        if len(value) >= _SHORTEST:
            found.update(_secrets_of(name, value))
    return frozenset(found)


@lru_cache(maxsize=4096)
def _secrets_of(name: str, value: str) -> frozenset[str]:
    if "://" in value:
        secret = frozenset(_url_secrets(value))
        if not re.search(r"WEBHOOK|SECRET|TOKEN", name.upper()):
            return secret
    if "PRIVATE KEY-----" in value or (
        _SECRET_NAME.search(name.upper()) and not _PLAIN_NAME.search(name.upper())
    ):
        return frozenset(_parts(value))
    return frozenset()


def _url_secrets(url: str) -> Iterator[str]:
    try:
        password = urlsplit(url).password
    except ValueError:  # no URL after all
        return
    if password:
        yield from _parts(password)
        yield from _parts(unquote(password))


def _parts(value: str) -> Iterator[str]:
    value = value.strip()
    if len(value) >= _SHORTEST:
        yield value
    if "PRIVATE KEY-----" in value:
        yield from (line for line in value.splitlines() if len(line) >= _KEY_LINE and "-----" not in line)


@lru_cache(maxsize=8)
def _matcher(values: frozenset[str]) -> re.Pattern[str] | None:
    forms = {form for value in values for form in _forms(value)}
    if not forms:
        return None
    return re.compile("|".join(re.escape(form) for form in sorted(forms, key=len, reverse=True)))


def _forms(value: str) -> Iterator[str]:
    """As it is, and as other formats write it."""
    yield value
    yield json.dumps(value)[1:-1]
    yield json.dumps(json.dumps(value)[1:-1])[1:-1]
    yield repr(value)[1:-1]
    yield quote(value, safe="")
    yield quote(value)
    yield base64.b64encode(value.encode()).decode().rstrip("=")
