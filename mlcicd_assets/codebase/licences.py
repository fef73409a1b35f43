"""The check `licences`: what each installed package may be used under, against an allow-list."""

import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Any

from mlcicd_assets.codebase.findings import CheckResult, Finding, plural
from mlcicd_assets.codebase.project import Project

CHECK = "licences"
# Trove classifiers and usual wordings that name exactly one licence; "BSD License" alone is told by its name.
_CLASSIFIED = {
    "Academic Free License (AFL)": "AFL-3.0",
    "Apache Software License": "Apache-2.0",
    "BSD License": "BSD-3-Clause",
    "GNU Affero General Public License v3": "AGPL-3.0-only",
    "GNU Affero General Public License v3 or later (AGPLv3+)": "AGPL-3.0-or-later",
    "GNU General Public License (GPL)": "GPL-2.0-or-later",
    "GNU General Public License v2 (GPLv2)": "GPL-2.0-only",
    "GNU General Public License v2 or later (GPLv2+)": "GPL-2.0-or-later",
    "GNU General Public License v3 (GPLv3)": "GPL-3.0-only",
    "GNU General Public License v3 or later (GPLv3+)": "GPL-3.0-or-later",
    "GNU Lesser General Public License v2 or later (LGPLv2+)": "LGPL-2.1-or-later",
    "GNU Lesser General Public License v3 (LGPLv3)": "LGPL-3.0-only",
    "GNU Lesser General Public License v3 or later (LGPLv3+)": "LGPL-3.0-or-later",
    "GNU Library or Lesser General Public License (LGPL)": "LGPL-2.1-or-later",
    "Historical Permission Notice and Disclaimer (HPND)": "HPND",
    "ISC License (ISCL)": "ISC",
    "MIT License": "MIT",
    "MIT No Attribution License (MIT-0)": "MIT-0",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Public Domain": "LicenseRef-Public-Domain",
    "Python Software Foundation License": "PSF-2.0",
    "The Unlicense (Unlicense)": "Unlicense",
    "Zope Public License": "ZPL-2.1",
    "zlib/libpng License": "Zlib",
}
_WORDED = (
    (
        r"apache( software)?( license)?[ ,-]*(v(ersion)? ?)?2(\.0)?( license)?|apache license|apache",
        "Apache-2.0",
    ),
    (r"(the )?mit( license)?( \(mit\))?|expat", "MIT"),
    (r"(the )?(new |modified |revised )?bsd([ -]*3)?([ -]clause)?( license)?|3-clause bsd.*", "BSD-3-Clause"),
    (r"(simplified )?bsd[ -]*2([ -]clause)?( license)?|2-clause bsd.*", "BSD-2-Clause"),
    (r"mpl[ -]*(v?2(\.0)?)?|mozilla public license.*2\.0.*", "MPL-2.0"),
    (r"psf([ -]license|-2\.0)?|python software foundation license", "PSF-2.0"),
    (r"isc( license)?", "ISC"),
    (r"hpnd", "HPND"),
    (r"zpl 2\.1", "ZPL-2.1"),
)
_GENERAL = {"OSI Approved", "DFSG approved"}
_TOKEN = re.compile(r"\s*(\(|\)|[^\s()]+)")
_LONGEST = 100


@dataclass(frozen=True)
class Installed:
    """A package and its licence as an SPDX expression; empty where it does not say one."""

    name: str
    version: str
    licence: str
    said: str = ""  # in its own words, where these are no SPDX expression


def check_licences(project: Project) -> CheckResult:
    """Every installed package against the declared licences."""
    declared = project.declared.licences
    found = list(installed())
    findings = judged(found, declared.allowed, declared.accepted, fails=declared.unknown == "fail")
    return CheckResult(CHECK, tuple(findings), plural(len(found), "installed package"))


def judged(
    found: Iterable[Installed], allowed: Collection[str], accepted: Collection[str], *, fails: bool
) -> list[Finding]:
    """What is not allowed; `fails`: a package that does not say its licence blocks."""
    fine = [_normal(name) for name in accepted]  # may have a *
    findings = []
    for package in found:
        if any(fnmatchcase(_normal(package.name), name) for name in fine):
            continue
        place = f"{package.name} {package.version}"
        if not package.licence:
            said = f" (it says {package.said!r})" if package.said else ""
            told = f"does not say its licence as SPDX{said}: look at it, and name it in licences.accepted"
            findings.append(Finding(place, None, "unknown", told, blocks=fails))
        elif not admits(package.licence, allowed):
            told = (
                f"{package.licence} is no allowed licence: replace the package, allow its licence, "
                "or name the package in licences.accepted with the reason"
            )
            findings.append(Finding(place, None, "not allowed", told))
    return findings


def admits(expression: str, allowed: Collection[str]) -> bool:
    """Whether an SPDX expression can be met by allowed licences: one side of OR, both of AND.

    An exception (`GPL-2.0-only WITH Classpath-exception-2.0`) must be allowed with its licence.
    """
    known = {name.lower() for name in allowed}
    tokens = [found[1] for found in _TOKEN.finditer(expression)]
    try:
        value, rest = _either(tokens, known)
    except IndexError:
        return False
    return value and not rest


def _either(tokens: list[str], known: Collection[str]) -> tuple[bool, list[str]]:
    value, rest = _both(tokens, known)
    while rest and rest[0].upper() == "OR":
        other, rest = _both(rest[1:], known)
        value = value or other
    return value, rest


def _both(tokens: list[str], known: Collection[str]) -> tuple[bool, list[str]]:
    value, rest = _single(tokens, known)
    while rest and rest[0].upper() == "AND":
        other, rest = _single(rest[1:], known)
        value = value and other
    return value, rest


def _single(tokens: list[str], known: Collection[str]) -> tuple[bool, list[str]]:
    if tokens[0] == "(":
        value, rest = _either(tokens[1:], known)
        return (value and rest[0] == ")"), rest[1:]
    name, rest = tokens[0].lower(), tokens[1:]
    if rest and rest[0].upper() == "WITH":
        return f"{name} with {rest[1].lower()}" in known, rest[2:]
    return name in known, rest


def installed() -> Iterator[Installed]:
    """Every distribution that this Python can import, once, by name."""
    from importlib.metadata import distributions

    found = {_normal(one.metadata["Name"]): one for one in distributions() if one.metadata["Name"]}
    for name in sorted(found):
        package = described(found[name].metadata)
        yield package if package.licence else replace(package, licence=_from_file(found[name]))


def described(metadata: Any) -> Installed:
    """A package's licence: by its SPDX expression, else by its classifiers and its own words."""
    name, version = metadata["Name"], metadata["Version"] or ""
    expression = metadata.get("License-Expression")
    if expression:
        return Installed(name, version, expression)
    said = (metadata.get("License") or "").strip()
    classified = [
        _CLASSIFIED.get(one.rpartition(" :: ")[2], "")
        for one in metadata.get_all("Classifier") or []
        if one.startswith("License :: ") and one.rpartition(" :: ")[2] not in _GENERAL
    ]
    worded = _from_words(said)
    # A package's own words are more exact than the classifier that stands for a family.
    if worded and (not classified or classified == ["BSD-3-Clause"] or worded in classified):
        return Installed(name, version, worded)
    if classified and all(classified):
        several = {*classified, *([worded] if worded else [])}
        return Installed(name, version, " AND ".join(sorted(several)))
    first = said.splitlines()[0][:_LONGEST] if said else ""
    return Installed(name, version, "", first)


def _from_words(said: str) -> str:
    if len(said) > _LONGEST:
        return _from_text(said)
    joined = re.split(r"\s+(AND|OR|and|or)\s+", said)
    names = [_word(part) for part in joined[::2]]
    if not said or not all(names):
        return ""
    signs = [*(sign.upper() for sign in joined[1::2]), ""]
    return " ".join(f"{name} {sign}" for name, sign in zip(names, signs, strict=True)).strip()


def _word(part: str) -> str:
    for pattern, licence in _WORDED:
        if re.fullmatch(pattern, part.strip(), re.IGNORECASE):
            return licence
    return part if re.fullmatch(r"[A-Z][\w.+]*-\d[\w.+-]*", part) else ""  # an identifier already


def _from_file(distribution: Any) -> str:
    """What its licence file says; empty where there is none, or several of them."""
    files = [file for file in distribution.files or [] if re.match(r"(LICEN[CS]E|COPYING)", file.name)]
    texts = {file.read_text(encoding="utf-8") for file in files if file.locate().is_file()}
    return _from_text(texts.pop()) if len(texts) == 1 else ""


def _from_text(said: str) -> str:
    """A licence's whole text, told by its own first sentences."""
    text = " ".join(said.split())
    if (
        text.startswith(("MIT License", "The MIT License"))
        or "Permission is hereby granted, free of charge" in text
    ):
        return "MIT"
    if "Apache License" in text[:200]:
        return "Apache-2.0"
    if "Redistribution and use in source and binary forms" in text:
        return (
            "BSD-3-Clause"
            if "Neither the name" in text or "names of its contributors" in text
            else "BSD-2-Clause"
        )
    return ""


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
