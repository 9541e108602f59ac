"""The commands for writers of rules: check and test."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from services.cli import rule_tests

_PATHS = click.argument("paths", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
_JSON = click.option("--json", "as_json", is_flag=True, help="Answer with one line of JSON.")


@click.group()
def rules() -> None:
    """Check rules before they are in force, and test what they would do."""


@rules.command()
@_PATHS
@_JSON
def check(*, paths: tuple[Path, ...], as_json: bool) -> None:
    """Say what is wrong with rules: files, folders of rules, or cities' folders. Exit code 1 when one cannot be used; 0 with warnings."""
    from services.cli import rule_check  # noqa: PLC0415 - pydantic's models, that other commands do not need
    from services.cli.findings import Grade  # noqa: PLC0415

    files = list(rule_check.files(paths))
    if not files:
        raise click.UsageError("there is no rule there: give files, folders with *.yaml, or a city's folder")
    noted = rule_check.check(files)
    bad = {note.file for note in noted if note.grade is Grade.BAD}
    if as_json:
        listed = [
            {
                "file": str(note.file),
                "line": note.problem.line,
                "column": note.problem.column,
                "place": note.problem.place,
                "grade": note.grade,
                "says": note.problem.says,
                "mend": note.problem.mend,
            }
            for note in noted
        ]
        click.echo(json.dumps({"ok": not bad, "files": len(files), "problems": listed}, ensure_ascii=False))
    else:
        for note in noted:
            grade = click.style("error", fg="red") if note.grade is Grade.BAD else click.style("warning", fg="yellow")
            place = f"{note.problem.place}: " if note.problem.place else ""
            click.echo(f"{note.file}:{note.problem.line}:{note.problem.column}: {grade}: {place}{note.problem.says}")
            if note.problem.mend:
                click.echo(f"    mend: {note.problem.mend}")
        warnings = sum(note.grade is Grade.WARN for note in noted)
        click.echo(f"{len(files)} files, {len(bad)} of them not to be used, {warnings} warnings")
    sys.exit(bool(bad))


@rules.command()
@_PATHS
@_JSON
def test(*, paths: tuple[Path, ...], as_json: bool) -> None:
    """Run tests of rules: files, or folders with *.yaml (of a city's folder those in rule-tests/). Exit code 1 when one fails."""
    from services.cli import rule_tests  # noqa: PLC0415
    from services.kit.documents import Invalid  # noqa: PLC0415

    files = list(_tests(paths))
    if not files:
        raise click.UsageError("there is no test there: give files, folders with *.yaml, or a city's folder")
    results: list[rule_tests.Result] = []
    unusable: list[Invalid] = []
    for file in files:
        try:
            results += rule_tests.run(file)
        except Invalid as error:
            unusable.append(error)
    failed = [result for result in results if not result.ok]
    problems = [f"{one.file}:{problem}" for one in unusable for problem in one.problems]
    if as_json:
        tests = [_as_json(result) for result in results]
        click.echo(json.dumps({"ok": not failed and not unusable, "tests": tests, "problems": problems}, ensure_ascii=False))
    else:
        for line in problems:
            click.echo(line)
        for result in results:
            _tell(result)
        click.echo(f"{len(results)} tests, {len(failed)} failed" + (f"; {len(unusable)} files cannot be used" if unusable else ""))
    sys.exit(bool(failed or unusable))


def _tests(paths: tuple[Path, ...]) -> Iterator[Path]:
    for path in paths:
        if path.is_dir():
            inner = path / "rule-tests" if (path / "rule-tests").is_dir() else path
            yield from sorted((*inner.glob("*.yaml"), *inner.glob("*.yml")))
        else:
            yield path


def _tell(result: rule_tests.Result) -> None:
    """Print a test; of one that failed all that was told and expected, in order of time."""
    from services.cli.rule_tests import after, words  # noqa: PLC0415

    grade = click.style("ok  ", fg="green") if result.ok else click.style("FAIL", fg="red")
    click.echo(f"{grade}  {result.file}:{result.line}: {result.name}")
    if result.ok:
        return
    lines = [(one.at, 0, f"told      {words(one)}" + ("  ← no expectation speaks of it" if one in result.unexpected else "")) for one in result.told]
    for look in result.looked:
        of, wanted, got = look.expected, look.expected.tier.value, look.tier
        if of.change is not None:
            wanted, got = f"{wanted}, {of.change.value}", f"{got}, {look.change or 'nothing told'}"
        where = f"{look.rule} {of.subject}" if of.subject else look.rule
        says = f"expected  {where}: {wanted}" + ("" if look.ok else f"  ← got {got}")
        lines.append((of.at, 1, says))
    lines.sort(key=lambda line: line[:2])
    width = max(len(after(at)) for at, _, _ in lines)
    for at, _, says in lines:
        click.echo(f"      {after(at):>{width}}  {says}")


def _as_json(result: rule_tests.Result) -> dict[str, Any]:
    looked = [
        {
            "at": look.expected.at.total_seconds(),
            "rule": look.rule,
            "subject": look.expected.subject,
            "expected": {"tier": look.expected.tier, "change": look.expected.change},
            "got": {"tier": look.tier, "change": look.change},
            "ok": look.ok,
        }
        for look in result.looked
    ]
    told = [
        {
            "at": one.at.total_seconds(),
            "rule": one.revision.rule,
            "subject": one.revision.subject,
            "rev": one.revision.rev,
            "change": one.revision.change,
            "state": one.revision.state,
            "tier": one.revision.tier,
            "expected": one not in result.unexpected,
        }
        for one in result.told
    ]
    return {"file": str(result.file), "line": result.line, "name": result.name, "ok": result.ok, "expectations": looked, "told": told}
