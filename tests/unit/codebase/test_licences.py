"""What a package says of its licence, and what is allowed."""

from email.message import Message

import pytest

from mlcicd_assets.codebase.licences import Installed, admits, described, judged
from mlcicd_assets.ml.code.codebase import PERMISSIVE


def metadata(**fields: str | list[str]) -> Message:
    made = Message()
    for name, value in {"Name": "thing", "Version": "1.0", **fields}.items():
        for one in value if isinstance(value, list) else [value]:
            made[name.replace("_", "-")] = one
    return made


@pytest.mark.parametrize(
    ("expression", "allowed"),
    [
        ("MIT", True),
        ("mit", True),
        ("GPL-3.0-only", False),
        ("GPL-3.0-only OR MIT", True),
        ("MIT AND GPL-3.0-only", False),
        ("MPL-2.0 AND (GPL-2.0-only OR MIT)", True),
        ("(MIT OR Apache-2.0) AND BSD-3-Clause", True),
        ("Apache-2.0 WITH LLVM-exception", True),
        ("GPL-2.0-only WITH Classpath-exception-2.0", False),
        ("MIT AND", False),
        ("(MIT", False),
        ("MIT MIT", False),
        ("", False),
    ],
)
def test_an_expression_is_met_by_allowed_licences(expression, allowed):
    assert admits(expression, PERMISSIVE) is allowed


GPL = "License :: OSI Approved :: GNU General Public License v3 (GPLv3)"
MIT = "Permission is hereby granted, free of charge, to any person obtaining a copy of this " * 3


@pytest.mark.parametrize(
    ("fields", "licence"),
    [
        ({"License_Expression": "MIT OR Apache-2.0"}, "MIT OR Apache-2.0"),
        ({"License": "Apache License, Version 2.0"}, "Apache-2.0"),
        ({"License": "BSD 3-Clause OR Apache-2.0"}, "BSD-3-Clause OR Apache-2.0"),
        ({"License": "MIT", "Classifier": ["License :: DFSG approved"]}, "MIT"),
        (
            {"Classifier": [GPL]},
            "GPL-3.0-only",
        ),
        (
            {
                "Classifier": [
                    "License :: OSI Approved :: MIT License",
                    GPL,
                ]
            },
            "GPL-3.0-only AND MIT",
        ),
        (
            {
                "License": "MIT",
                "Classifier": [GPL],
            },
            "GPL-3.0-only AND MIT",
        ),
        (
            {"License": MIT},
            "MIT",
        ),
        ({"License": "see the file"}, ""),
        ({}, ""),
    ],
)
def test_a_licence_is_read_from_what_a_package_says(fields, licence):
    assert described(metadata(**fields)).licence == licence


def test_what_is_not_allowed_blocks_and_what_is_unknown_does_as_declared():
    packages = [
        Installed("good", "1", "MIT"),
        Installed("copyleft", "2", "GPL-3.0-only"),
        Installed("silent", "3", ""),
    ]
    strict = judged(packages, PERMISSIVE, {}, fails=True)
    assert [(one.file, one.blocks) for one in strict] == [("copyleft 2", True), ("silent 3", True)]
    lenient = judged(packages, PERMISSIVE, {"Copyleft": "linked dynamically"}, fails=False)
    assert [(one.file, one.blocks) for one in lenient] == [("silent 3", False)]


def test_a_family_of_packages_is_accepted_by_a_wildcard() -> None:
    found = [
        Installed("nvidia_cublas", "13.1", "LicenseRef-NVIDIA"),
        Installed("other", "1", "LicenseRef-Other"),
    ]

    findings = judged(found, ["MIT"], {"nvidia-*": "CUDA for torch"}, fails=True)

    assert [finding.file for finding in findings] == ["other 1"]
