"""YAML read into models: each error has line, column, what is wrong, and how to mend it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.rule import Rule
from services.kit import city
from services.kit.documents import Invalid, Problem, closest, parse, read

FILE = Path("r1.yaml")
GOOD = """\
id: r1
version: 1
name: {zh: 高, en: high}
applies: {metric: flow, domain: water}
measure: {kind: value}
direction: above
unit: L/s
standard: GB 1
tiers:
  blue: {up: {limit: 5, for: 120}, down: {limit: 4}}
  red:
    up: {limit: {default: 9, cases: [{hours: "22:00-06:00", limit: 8}]}}
    down: {when: {all: [{below: 4}, {not: {above: 5}}]}, for: PT1M}
"""


def wrong(text: str) -> list[Problem]:
    with pytest.raises(Invalid) as raised:
        parse(FILE, text, Rule)
    return list(raised.value.problems)


def changed(before: str, after: str) -> str:
    assert before in GOOD
    return GOOD.replace(before, after, 1)


def test_what_is_right_is_read_with_its_places():
    document = parse(FILE, GOOD, Rule)
    assert document.model.id == "r1"
    problem = document.problem(("tiers", "red", "up"), "says", "mend")
    assert (problem.line, problem.column, problem.place) == (12, 9, "tiers.red.up")
    assert str(problem) == "12:9: tiers.red.up: says (mend)"
    assert document.problem(("tiers", "red", "up", "limit", "cases", 0, "limit"), "").line == 12
    assert document.problem(("standard", "there", "is", "none"), "").line == 8


@pytest.mark.parametrize(
    ("before", "after", "place", "token", "says", "mend"),
    [
        ("unit: L/s", "unti: L/s", "7:unti", "unti", "there is no field `unti` here", "did you mean `unit`?"),
        ("metric: flow", "metrik: flow", "4:applies.metrik", "metrik", "there is no field `metrik` here", "did you mean `metric`?"),
        ("kind: value", "kind: windw", "5:measure.kind", "windw", "there is no `windw` here", "did you mean `window`?"),
        ("kind: value", "length: PT1H", "5:measure", "{length", "`kind` is missing", "say `kind:` of what kind it is"),
        ("direction: above", "direction: abov", "6:direction", "abov", "must be 'above' or 'below', it is `abov`", "did you mean `above`?"),
        ("  blue:", "  bleu:", "10:tiers.bleu", "bleu", "it is `bleu`", "did you mean `blue`?"),
        ("for: 120", "for: 12 parsecs", "10:tiers.blue.up.for", "12 parsecs", "`12 parsecs` is no length of time", "write it as ISO 8601"),
        ("limit: 5,", "limit: 1e3,", "10:tiers.blue.up.limit", "1e3", "must be a number, or `default` with `cases`, it is `1e3`", "write 1000.0"),
        ("{below: 4}", "{belwo: 4}", "13:tiers.red.down.when.all.0.belwo", "belwo", "there is no field `belwo` here", "did you mean `below`?"),
        ("{below: 4}", "{}", "13:tiers.red.down.when.all.0", "{}", "give either `above` or `below`", None),
        ("{not: {above: 5}}", "{not: 5}", "13:tiers.red.down.when.all.1.not", "5}", "must be fields with values, it is `5`", None),
        ("default: 9", "default: nine", "12:tiers.red.up.limit.default", "nine", "must be a number, it is `nine`", None),
        ("22:00-06:00", "22:00-25:00", "12:tiers.red.up.limit.cases.0.hours", '"22:00-25', "pattern", None),
        ("id: r1", "id: 620100", "1:id", "id: ", "must be text, it is `620100`", 'quote it: "620100"'),
        ("id: r1", "id: r 1", "1:id", "id: ", "`r 1` is no code", "letters, digits"),
        ("id: r1", "id: on", "1:id", "id: ", "must be text, it is `true`", 'quote it: "true"'),
        ("metric: flow,", "metric: flow, tags: site,", "4:applies.tags", "site", "must be a list, it is `site`", "write [site]"),
        ("limit: 4}}", "limit: 6}}", "10:tiers.blue", "{up", "the way down must lie on the good side", None),
        ("default: 9", "default: 3", "12:tiers.red.up.limit", "{default", "is milder than that of a lower tier", None),
        ("{below: 4}", "{below: 4, measure: x}", "9:tiers", "tiers", "`when` names the measures", None),
    ],
)
def test_what_is_wrong_is_told_where_it_stands(before: str, after: str, place: str, token: str, says: str, mend: str | None):
    text = changed(before, after)
    problems = wrong(text)
    at, _, keys = place.partition(":")
    found = [one for one in problems if one.place == keys and says in one.says]
    assert found, problems
    if keys != "tiers":
        column = text.splitlines()[int(at) - 1].index(token) + 1
        assert (found[0].line, found[0].column) == (int(at), column + 4 * (token == "id: "))
    if mend:
        assert mend in (found[0].mend or "")


def test_of_a_union_only_the_branch_that_was_meant_is_spoken_of():
    assert len(wrong(changed("{below: 4}", "{belwo: 4}"))) == 1
    assert len(wrong(changed("{below: 4}", "{}"))) == 1


def test_what_is_missing_is_told_where_it_should_stand():
    (problem,) = wrong(changed("unit: L/s\n", ""))
    assert str(problem) == "1:1: unit: `unit` is missing"
    (problem,) = wrong(changed(", down: {limit: 4}}", "}"))
    assert (problem.line, problem.place) == (10, "tiers.blue.down")


def test_all_that_is_wrong_is_told_in_order():
    problems = wrong(changed("unit: L/s", "unti: L/s").replace("id: r1", "id: 1", 1).replace("kind: value", "kind: vlaue", 1))
    assert [problem.place for problem in problems] == ["unit", "id", "measure.kind", "unti"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (changed("unit: L/s\n", "unit: L/s\nunit: m\n"), "8:1: unit: `unit` is given twice, first in line 7 (leave one of the two)"),
        (
            changed("limit: 4}}", "limit: 4, limit: 3}}"),
            "10:53: tiers.blue.down.limit: `limit` is given twice, first in line 10",
        ),
        ("", "1:1: is empty"),
        ("# only words\n", "1:1: is empty"),
        ("a: [", "is not YAML"),
        ("a: 1\n\tb: 2\n", "is not YAML"),
        ("a: !!python/object:os.system {}\n", "is not YAML"),
        ("a: 2026-13-45\n", "is not YAML"),
        ("a: 1\n---\nb: 2\n", "is not YAML"),
        ("- 1\n", "1:1: must be fields with values, it is a list"),
        ("x", "1:1: must be fields with values, it is `x`"),
        ("a: " + "[" * 3_000, "is n"),
        ("a: &a [*a]\nid: &b {c: *b}", "version"),
    ],
    ids=lambda value: value[:20],
)
def test_what_is_no_rule_at_all(text: str, told: str):
    assert any(told in str(problem) for problem in wrong(text)), wrong(text)


def test_a_mapping_may_take_in_another_and_change_of_it_what_it_likes():
    text = changed("  blue: {", "  blue: &b {").replace("  red:\n", "  yellow: {<<: *b, up: {limit: 6}}\n  red:\n", 1)
    assert parse(FILE, text, Rule).model.tiers.keys() >= {"blue", "yellow"}
    (problem,) = wrong(text.replace("{limit: 6}", "{limit: x}"))
    assert (problem.line, problem.place) == (11, "tiers.yellow.up.limit")


def test_a_file_that_cannot_be_read(tmp_path: Path):
    with pytest.raises(Invalid, match=re.escape("none.yaml:1:1: cannot be read: No such file or directory")):
        read(tmp_path / "none.yaml", Rule)
    (tmp_path / "bytes.yaml").write_bytes(b"id: \xff")
    with pytest.raises(Invalid, match=re.escape("bytes.yaml:1:1: is not UTF-8 (byte 4) (save it as UTF-8)")):
        read(tmp_path / "bytes.yaml", Rule)


@given(st.data())
def test_whatever_is_broken_is_told_with_a_place_inside_the_file(data: st.DataObject):
    lines = GOOD.splitlines()
    at = data.draw(st.integers(0, len(lines) - 1))
    cut = data.draw(st.integers(0, len(lines[at])))
    lines[at] = lines[at][:cut] + data.draw(st.sampled_from(["", "x", " ", "{", "}", "[", "1", ": ", "null", "&a", "'"])) + lines[at][cut + 1 :]
    text = "\n".join(lines)
    try:
        parse(FILE, text, Rule)
    except Invalid as error:
        for problem in error.problems:
            assert 1 <= problem.line <= len(lines) + 1
            assert problem.column >= 1
            assert problem.says


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["id", "tiers", "red", "up", "when", "all", "not", "measure", "kind", "limit", "cases", "x"]), inner, max_size=5
        )
    ),
    max_leaves=20,
)


@given(JUNK)
def test_no_document_crashes_the_reader(value: object):
    import yaml

    with pytest.raises(Invalid):
        parse(FILE, yaml.safe_dump(value), Rule)


@pytest.mark.parametrize(("given_", "expected"), [("smok", "smoke"), ("SMOKE", "smoke"), ("tempreature", "temperature"), ("zzz", None)])
def test_what_was_probably_meant(given_: str, expected: str | None):
    assert closest(given_, ["temperature", "smoke", "flow"]) == expected


def test_the_service_tells_a_city_s_bad_rules_with_their_lines(tmp_path: Path):
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "r1.yaml").write_text(changed("direction: above", "direction: abov"), "utf-8")
    (tmp_path / "rules" / "r2.yaml").write_text(GOOD.replace("id: r1", "id: r2"), "utf-8")
    good, (bad,) = city.rules(tmp_path)
    assert [rule.id for rule in good] == ["r2"]
    assert str(bad) == f"{tmp_path}/rules/r1.yaml:6:12: direction: must be 'above' or 'below', it is `abov` (did you mean `above`?)"
