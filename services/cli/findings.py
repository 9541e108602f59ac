"""What the commands that look after an installation have found, for people and for machines."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import click

from services.cli.errors import Problem


class Grade(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARN = "warn"
    """It works, though not as it should."""
    BAD = "bad"


_COLOURS = {Grade.OK: "green", Grade.WARN: "yellow", Grade.BAD: "red"}


@dataclass(frozen=True, slots=True)
class Finding:
    """One line."""

    name: str
    grade: Grade
    says: str
    mend: str | None = None

    @classmethod
    def of(cls, name: str, problem: Problem, grade: Grade = Grade.BAD) -> Finding:
        """Return a problem as a finding."""
        return cls(name, grade, problem.what, problem.mend)


def worst(findings: Sequence[Finding]) -> Grade:
    """Return the worst grade; ok when there is nothing."""
    return max((finding.grade for finding in findings), key=list(Grade).index, default=Grade.OK)


def tell(findings: Sequence[Finding]) -> None:
    """Print a line each, with its mend below."""
    width = max((len(finding.name) for finding in findings), default=0)
    for finding in findings:
        click.echo(f"{click.style(f'{finding.grade:4}', fg=_COLOURS[finding.grade])}  {finding.name:{width}}  {finding.says}")
        if finding.mend:
            click.echo(f"      {'':{width}}  mend: {finding.mend}")


def tell_json(findings: Sequence[Finding], **more: object) -> None:
    """Print one line of JSON."""
    listed = [{"name": each.name, "grade": each.grade, "says": each.says, "mend": each.mend} for each in findings]
    click.echo(json.dumps({"grade": worst(findings), **more, "findings": listed}, ensure_ascii=False))
