"""docs/equations.md: every equation of the paper, the objects that implement it, and the tests that hold it.

Objects are found by the equation numbers in their docstrings; the tests stand in the table below. After a change:
``python tests/test_equations.py > docs/equations.md``.
"""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("simulator", "designs", "estimators", "experiments")
LAST = 51
MOST = 4

STREAMS, FISHER = "simulator/test_streams.py", "designs/test_fisher.py"
CERTIFICATES, DESIGNS = "designs/test_design_certificates.py", "designs/test_designs.py"
PAPER, ERRATA = "experiments/paper/test_paper.py", "designs/test_errata.py"
WHITE = f"{STREAMS}::test_streams_are_white_circular_and_of_unit_power"
BLOCKS = f"{FISHER}::test_information_equals_the_corrected_blocks_of_appendix_a"
MEAN = f"{FISHER}::test_information_of_a_signal_equals_that_of_the_differentiated_mean"
LINEAR = f"{FISHER}::test_operator_is_linear_and_symmetric"
COVARIANCES = f"{STREAMS}::test_sample_covariance_converges_to_the_precoders"
CONTRACT = f"{DESIGNS}::test_contract"
BOUND = f"{CERTIFICATES}::test_bound_holds_at_every_feasible_point"
THEOREM_2 = f"{CERTIFICATES}::test_theorem_2_keeps_useful_power_below_the_covariance"
PRINTED = f"{CERTIFICATES}::test_printed_extraction_violates_its_limits_and_undercuts_the_bound"
OWN = f"{DESIGNS}::test_p2_sends_on_its_own_subcarriers_only"
LOSSLESS = f"{DESIGNS}::test_one_node_per_user_and_subcarrier_sends_data_without_loss"
BEAM = f"{DESIGNS}::test_beamforming_radar_is_the_same_on_all_subcarriers_of_a_node"
STATED = f"{PAPER}::test_stated_variables_follow_the_papers_table"

EQUATIONS = {
    1: ("transmit signal", f"{STREAMS}::test_transmit_is_equation_1"),
    2: ("data and radar are uncorrelated", WHITE),
    3: ("data streams are white", WHITE),
    4: ("received signal of a user", "simulator/test_users.py::test_samples_are_equation_4"),
    5: ("echo of one link", "simulator/test_synthesis.py::test_mean_is_equation_6"),
    6: ("received echoes of a node", "simulator/test_synthesis.py::test_mean_is_equation_6"),
    7: ("SINR", CONTRACT),
    8: (
        "parameters: angles, delays, amplitudes",
        f"{FISHER}::test_corrected_blocks_of_appendix_a_equal_the_differentiated_mean_in_the_parameters_of_eq_8",
    ),
    9: ("parameters: positions, amplitudes", MEAN),
    10: ("likelihood (lacks the noise variance)", f"{ERRATA}::test_simulated_score_agrees_with_its_closed_form"),
    11: ("Fisher information", f"{FISHER}::test_information_equals_central_differences_of_the_synthesized_mean"),
    12: ("chain rule", BLOCKS),
    13: ("CRB", "designs/test_crb.py::test_realized_bound_is_above_the_expected_one_and_converges_to_it"),
    14: ("design problem, power and SINR limits", CONTRACT),
    15: ("radar signal", COVARIANCES),
    16: ("Lemma 1", LINEAR),
    17: ("proof of Theorem 1", LINEAR),
    18: ("covariance block of two nodes", COVARIANCES),
    19: ("covariance of all nodes", COVARIANCES),
    20: ("its blocks", COVARIANCES),
    21: ("covariance of one node", COVARIANCES),
    22: ("SINR by covariances", CONTRACT),
    23: ("problem with a rank constraint", BOUND),
    24: ("P.1", BOUND),
    25: ("Theorem 2, covariances kept", THEOREM_2),
    26: ("Theorem 2, rank one", THEOREM_2),
    27: ("data precoders of P.1", THEOREM_2),
    28: ("radar covariance left over", PRINTED),
    29: ("radar precoders of P.1 (not feasible as printed)", PRINTED),
    30: ("interleaved signal of P.2", OWN),
    31: ("SINR of P.2", CONTRACT),
    32: ("P.2", BOUND),
    33: ("data precoders of P.2", LOSSLESS),
    34: ("radar precoders of P.2", LOSSLESS),
    35: ("radar signal of P.3", BEAM),
    36: ("signal of P.3", BEAM),
    37: ("covariance of P.3", BEAM),
    38: ("averaged covariance of P.3", BEAM),
    39: ("P.3", BOUND),
    40: ("radar precoders of P.3 (see the errata)", BEAM),
    41: (
        "complexity of an interior-point method",
        "Not implemented: an order of growth that depends on the solver. Run times are measured instead (Table III).",
    ),
    42: ("variables of P.1", STATED),
    43: ("variables of P.2", STATED),
    44: ("variables of P.3", STATED),
    45: ("Jacobian", BLOCKS),
    46: ("blocks of the information", f"{FISHER}::test_blocks_and_matrix_hold_the_same"),
    **{number: ("blocks of Appendix A", BLOCKS) for number in range(47, LAST + 1)},
}
"""Equation -> (what it is, its test); words in place of a test say why there is none."""


def numbers(docstring):
    """Equation numbers that a docstring names."""
    found = set()
    one, link = r"\(\d+[a-g]?\)", r"(?:,\s*|\s+and\s+|\s+or\s+|\s+to\s+|–|-)"
    for run in re.findall(rf"(?:Eqs?\.|[Ee]quations?)\s*({one}(?:{link}{one})*)", docstring):
        found |= {int(number) for number in re.findall(r"\((\d+)", run)}
        for first, last in re.findall(r"\((\d+)[a-g]?\)(?:\s+to\s+|–|-)\((\d+)", run):
            found |= set(range(int(first), int(last) + 1))
    return {number for number in found if number <= LAST}


@cache
def objects():
    """Equation -> objects of the package whose docstrings name it."""
    found = {number: [] for number in EQUATIONS}

    def visit(node, name):
        for number in numbers(ast.get_docstring(node) or ""):
            found[number].append(name)
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.FunctionDef | ast.ClassDef):
                visit(child, f"{name}.{child.name}")

    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*.py")):
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
            visit(ast.parse(path.read_text(encoding="utf-8")), name)
    return found


def page():
    """The text of docs/equations.md."""
    lines = [
        "# Which object is which equation of the paper?",
        "",
        "Written by `python tests/test_equations.py > docs/equations.md` from the docstrings. Names are those of",
        f"`disac.…`; at most {MOST} a row. (47) to (51), and what the errata say of them, stand in the tests alone:",
        "`tests/oracles/appendix_a.py` is their oracle.",
        "",
        "| equation | what it is | objects | test |",
        "|---|---|---|---|",
    ]
    for number, (what, test) in EQUATIONS.items():
        names = objects()[number]
        shown = ", ".join(f"`{name}`" for name in names[:MOST]) + (" …" if len(names) > MOST else "")
        oracle = "`tests/oracles/appendix_a.py`: an oracle, not part of the package"
        shown = shown or (oracle if number > 46 else "none")
        lines.append(f"| ({number}) | {what} | {shown} | {f'`{test}`' if '::' in test else test} |")
    return "\n".join(lines) + "\n"


def test_every_equation_has_a_row():
    assert list(EQUATIONS) == list(range(1, LAST + 1))


@pytest.mark.parametrize("number", EQUATIONS)
def test_an_equation_has_an_object_and_a_test_or_a_reason(number):
    _, test = EQUATIONS[number]
    if "::" not in test:
        assert test.startswith("Not implemented: ")
        assert not objects()[number]
        return
    assert objects()[number] or number > 46
    file, name = test.split("::")
    tree = ast.parse((ROOT / "tests" / file).read_text(encoding="utf-8"))
    assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_the_page_is_what_the_docstrings_say():
    stored = (ROOT / "docs" / "equations.md").read_text(encoding="utf-8")
    assert stored == page(), "run: python tests/test_equations.py > docs/equations.md"


def test_numbers_are_read_from_docstrings():
    assert numbers("Eq. (4) and (6), equations (10) to (12); (13) is none, Eq. (14c) is") == {4, 6, 10, 11, 12, 14}


if __name__ == "__main__":
    print(page(), end="")
