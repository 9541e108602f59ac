"""Every reason that ingest gives has words in both languages on the page of a department's events."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from protocols.hj212 import FrameProblem, ValueFault
from services.ingest.domain import gb26875

ROOT = Path(__file__).parents[3]
GIVERS = {"Left", "Problem", "_Refusal"}
COMMANDS = {"keyring.py", "patrols.py", "registering.py", "worker.py"}
"""What these refuse is a command, whose page has words of its own."""
TOLD = (gb26875.Verdict.UNKNOWN_DEVICE, gb26875.Verdict.UNKNOWN_COMMAND, gb26875.Verdict.UNKNOWN_TYPE)


def _spoken(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and any(getattr(target, "id", "").startswith("code") for target in node.targets):
            yield from _texts(node.value)
        if isinstance(node, ast.Call) and getattr(node.func, "id", getattr(node.func, "attr", "")) in GIVERS:
            yield from _texts(*node.args[:1], *(one.value for one in node.keywords if one.arg == "code"))


def _texts(*nodes: ast.AST) -> Iterator[str]:
    for node in nodes:
        for part in (node, *ast.iter_child_nodes(node)):
            if isinstance(part, ast.Constant) and isinstance(part.value, str) and re.fullmatch("[a-z_]{4,}", part.value):
                yield part.value


def reasons() -> set[str]:
    files = [file for file in (ROOT / "services" / "ingest").rglob("*.py") if file.name not in COMMANDS]
    found = {code for file in files for code in _spoken(ast.parse(file.read_text(encoding="utf-8")))}
    return found | set(FrameProblem) | set(ValueFault) | set(gb26875._CODES.values()) | set(TOLD)


def test_each_reason_has_words_in_both_languages():
    words = (ROOT / "web" / "src" / "core" / "words.ts").read_text(encoding="utf-8")
    known = dict(re.findall(r'^  reason_(\w+): \["(.+?)", ".+?"\],$', words, re.MULTILINE))
    found = reasons()
    assert {"unknown_sensor", "unknown_code", "bad_crc", "no_number", "wrong_checksum", "bad_device", "long_topic"} <= found, (
        "what is looked for is found"
    )
    assert found <= known.keys()
    assert not [code for code, chinese in known.items() if chinese.isascii()]
