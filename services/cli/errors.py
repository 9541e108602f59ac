"""What stops a command, for a person to read.

CliError
├── PreflightError   the machine or a folder is not as it must be; nothing was started
└── StepError        a step of the start failed or took too long
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import click


class CliError(click.ClickException):
    """A message and the exit code that goes with it."""

    exit_code = 1


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that must be mended: what and where, and how."""

    what: str
    mend: str

    def __str__(self) -> str:
        return f"{self.what}\n    mend: {self.mend}"


class PreflightError(CliError):
    """All that is wrong, at once."""

    exit_code = 2

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = problems
        listed = "\n".join(f"  - {problem}" for problem in problems)
        super().__init__(f"cannot start, nothing was started:\n{listed}")


class StepError(CliError):
    """A step that failed, with the log that says why and its last lines."""

    def __init__(self, message: str, log: Path | None = None, tail: list[str] | None = None) -> None:
        self.log = log
        parts = [message]
        if log is not None:
            parts.append(f"  its log is {log}" + ("; its last lines:" if tail else ", which is empty"))
            parts += [f"    | {line}" for line in tail or []]
        super().__init__("\n".join(parts))
