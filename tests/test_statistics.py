"""The suite's false alarms: every statistical test stands in docs/statistics.md with its rate; the sum is small."""

import ast
import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
PAGE = TESTS.parent / "docs" / "statistics.md"
LIMIT = 1e-6
SIGNS_OF_CHANCE = ("FALSE_ALARM", "binomial_acceptance", "family_wise_level", "standard_error", "standard_errors")


def rates_of(source, file):
    """Rate of every test of a file that is marked as statistical."""
    return {
        (file, node.name): float(ast.literal_eval(decorator.keywords[0].value))
        for node in ast.parse(source).body
        if isinstance(node, ast.FunctionDef)
        for decorator in node.decorator_list
        if ast.unparse(decorator).startswith("pytest.mark.statistical(")
    }


def unmarked(source, file):
    """Tests that use what only a statistical test needs and are not marked."""
    marked = rates_of(source, file)
    names = {
        node.name: {inner.id for inner in ast.walk(node) if isinstance(inner, ast.Name)}
        for node in ast.parse(source).body
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    }
    return [name for name, used in names.items() if used & set(SIGNS_OF_CHANCE) and (file, name) not in marked]


def listed(page):
    """Rate of every test in the table of the page."""
    rows = re.findall(r"^\| `(test_\w+\.py)` `(test_\w+)` \|[^|]*\| ([\d.e-]+) \| [^|]+ \|$", page, re.MULTILINE)
    return {(file, name): float(rate) for file, name, rate in rows}


SOURCES = {path.name: path.read_text(encoding="utf-8") for path in sorted(TESTS.rglob("test_*.py"))}


def test_the_page_lists_every_statistical_test_with_its_rate():
    marked = {key: rate for file, source in SOURCES.items() for key, rate in rates_of(source, file).items()}
    assert len(marked) > 40
    assert listed(PAGE.read_text(encoding="utf-8")) == marked


def test_the_suite_fails_for_nothing_less_than_once_in_a_million_seeds():
    total = sum(rate for file, source in SOURCES.items() for rate in rates_of(source, file).values())
    assert total < LIMIT
    assert f"**All of them together: {total:.1e} per seed**" in PAGE.read_text(encoding="utf-8")


@pytest.mark.parametrize("file", SOURCES)
def test_tests_that_need_a_rate_have_one(file):
    helpers_of_other_tests = {
        "test_the_bit_error_test_can_fail",
        "test_binomial_acceptance",
        "test_family_wise_level",
        "test_bad_input",
    }
    assert set(unmarked(SOURCES[file], file)) - helpers_of_other_tests == set()


def test_the_checks_of_this_file_can_fail():
    source = (
        "@pytest.mark.statistical(false_alarm=1e-9)\ndef test_a():\n    pass\n\ndef test_b():\n    standard_error = 1\n"
    )
    assert rates_of(source, "test_x.py") == {("test_x.py", "test_a"): 1e-9}
    assert unmarked(source, "test_x.py") == ["test_b"]
    assert listed("| `test_x.py` `test_a` | a mean | 1e-9 | another mean |") == {("test_x.py", "test_a"): 1e-9}
