"""Entry of `./tongguan`, of `python -m services.cli` and of the installed command `tongguan`."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import click

from services.cli import care, rules
from services.cli.folder import program_version

_BEGAN = time.monotonic()
_ROOT = Path(__file__).parents[2]
_FOLDER = click.Path(file_okay=False, path_type=Path)
_PORT_BASE = 8800
_INTERRUPTED = 130
_PASS_ON = {"ignore_unknown_options": True}


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(program_version(), prog_name="tongguan")
def cli() -> None:
    """Tongguan (统管): a city's sensors, rules and warnings, live from department to street."""


@cli.command()
@click.option("--data", type=_FOLDER, help="Keep the data in this folder; without it a fresh one is made and removed at the end.")
@click.option("--city", type=_FOLDER, default=_ROOT / "cities" / "620100", help="The folder of the city (default: Lanzhou, 620100).")
@click.option("--port-base", default=_PORT_BASE, show_default=True, type=click.IntRange(0, 65_500), help="The first port; 0: any that are free.")
@click.option("--no-feed", is_flag=True, help="Neither replay the recorded pipe nor simulate anything.")
@click.option("--scenario", "scenarios", multiple=True, metavar="NAME", help="Simulate this of the city's scenarios (repeatable); none: no scenario.")
@click.option("--no-pages", is_flag=True, help="Do not build the pages, whatever their state.")
@click.option("--bind", default="127.0.0.1", show_default=True, help="Address on which pages and ingest listen; 0.0.0.0 for all.")
@click.option(
    "--kafka",
    metavar="HOST:PORT[,…]|URL",
    envvar="TONGGUAN_UP_KAFKA",
    help="Use this Kafka instead of the embedded one; scram+tls://USER:PASSWORD@HOST:PORT,… with TLS and a user (better in TONGGUAN_UP_KAFKA).",
)
@click.option(
    "--database", metavar="URL", help="Use this PostgreSQL, postgresql://USER@HOST:PORT/NAME; a password better in PGPASSWORD or PGPASSFILE."
)
@click.option(
    "--replication", type=click.IntRange(1, 7), help="Copies of each new topic's partition (embedded: 1; outside: 3, or as many as brokers)."
)
@click.option("--adopt", is_flag=True, help="Take over a database that belongs to another data folder; passwords of its users stay as they are.")
@click.option("--servers-only", is_flag=True, help="Kafka and PostgreSQL with migrations and topics, no service.")
@click.option("--run-file", type=click.Path(dir_okay=False, path_type=Path), help="Also write run.json (addresses, ports, pids, ready) here.")
@click.option("--json", "as_json", is_flag=True, help="Tell what the banner tells as one line of JSON.")
def up(**given: Any) -> None:
    """Start the whole platform on this machine, until Ctrl-C."""
    from services.cli import up as platform  # noqa: PLC0415 - 0.4 s of drivers that other commands do not need

    if given["no_feed"] and given["scenarios"]:
        raise click.UsageError("--scenario is simulated by a feed, and --no-feed leaves all feeds out: give one of the two")
    if given["replication"] and not given["kafka"]:
        raise click.UsageError("--replication is for the brokers that --kafka names; the embedded one keeps one copy")
    sys.exit(platform.up(platform.Options.given(**given, began=_BEGAN)))


@cli.command(context_settings=_PASS_ON)
@click.argument("words", nargs=-1, type=click.UNPROCESSED)
def test(words: tuple[str, ...]) -> None:
    """Run the tests: [unit|contract|integration|browser|chaos …] [--no-browser] [-- arguments of pytest]."""
    from services.cli import testing  # noqa: PLC0415

    parts, rest, with_browser = _split(words)
    sys.exit(testing.test(_ROOT, parts, with_browser=with_browser, pytest_arguments=rest))


def _split(words: tuple[str, ...]) -> tuple[list[str], list[str], bool]:
    """Return the parts named first, what is pytest's, and whether the browser tests are wanted."""
    from services.cli.testing import PARTS  # noqa: PLC0415

    rest = list(words)
    parts = []
    while rest and rest[0] in PARTS:
        parts.append(rest.pop(0))
    with_browser = "--no-browser" not in rest
    return parts, [word for word in rest if word not in {"--no-browser", "--"}], with_browser


@cli.command(context_settings={**_PASS_ON, "help_option_names": []})
@click.argument("name")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def bench(name: str, arguments: tuple[str, ...]) -> None:
    """Run a benchmark of tests/bench with its arguments; its result is the last line."""
    from services.cli import testing  # noqa: PLC0415

    sys.exit(testing.bench(_ROOT, name, arguments))


@cli.command()
@click.argument("names", nargs=-1)
def check(names: tuple[str, ...]) -> None:
    """Check the code: style, types, the map of imports, schemas, the pages' sources; only those named, if any are."""
    from services.cli import checking  # noqa: PLC0415

    sys.exit(checking.check(_ROOT, names))


for _command in (care.doctor, care.status, care.reset, care.pages, care.boundaries, rules.rules):
    cli.add_command(_command)


def main() -> None:
    """Run the command line. Errors meant for a person end with their message, an interrupt with 130."""
    try:
        cli.main(prog_name="tongguan", standalone_mode=False)
    except click.Abort:
        sys.exit(_INTERRUPTED)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except click.exceptions.Exit as error:
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
