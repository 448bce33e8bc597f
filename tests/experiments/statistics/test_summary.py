"""From records to rows: what is averaged over what, what is counted, what is marked."""

import csv

import numpy as np
import pytest
from acceptance import binomial_acceptance

from disac.experiments.runs.tables import write_csv
from disac.experiments.statistics.summary import (
    count_gross_errors,
    infeasible_row,
    summarize_point,
    table_lines,
)
from disac.experiments.trials.keys import Purpose, TrialKey

POINT = {"design": "p2", "snr_db": 20.0}
CRB = np.array([[4.0, 0.5], [0.5, 1.0]])


def _records(n, seed=0, users=2, bits=1000, ber=1e-2, outliers=0):
    rng = TrialKey(seed, 1, 0).generator(Purpose.GEOMETRY)
    errors = rng.multivariate_normal(np.zeros(2), CRB, n)
    errors[:outliers] += 100.0
    for error in errors:
        record = {
            "sq_error_m2": float(error @ error),
            "crb_m2": float(np.trace(CRB)),
            "crb_squared_m4": float(np.sum(CRB**2)),
            "mahalanobis2": float(error @ np.linalg.solve(CRB, error)),
            "converged": True,
            "at_edge": False,
            "search_missed": False,
            "snr_sense": 100.0,
            "snr_comm": 50.0,
            "independent_groups": 128,
            "independent_groups_estimated": 4,
            "error_x0_m": error[0],
            "error_y0_m": error[1],
            "crb_x0_m2": CRB[0, 0],
            "crb_y0_m2": CRB[1, 1],
            "bits": users * bits,
            "ber_theory": ber,
            "ber_theory_gaussian": ber,
            "ber_theory_average_sinr": ber,
        }
        for u in range(users):
            record[f"bit_errors_known_u{u}"] = int(rng.binomial(bits, ber)) if ber else 0
        yield record


def _summary(records, failed=0):
    records = list(records)
    return summarize_point(
        POINT, records, failed=failed, expected_crb_m2=np.diag(CRB), seed=3, stop_reason=f"{len(records)} trials"
    )


@pytest.mark.statistical(false_alarm=2e-9)
def test_rmse_is_the_root_of_the_mean_of_summed_squares():
    records = list(_records(500))
    row = _summary(records)
    assert row["rmse_m"] == pytest.approx(np.sqrt(np.mean([r["sq_error_m2"] for r in records])))
    assert row["rmse_m"] ** 2 == pytest.approx(row["rmse_x_m"] ** 2 + row["rmse_y_m"] ** 2)
    assert row["rcrb_realized_m"] == pytest.approx(np.sqrt(5.0))
    assert row["rcrb_expected_m"] == pytest.approx(np.sqrt(5.0))
    assert row["rmse_low_m"] < row["rmse_m"] < row["rmse_high_m"]
    # 500 Gaussian errors, effective degrees of freedom 500 * 25 / 17.5: 6.5 sigma of the RMSE ratio is 17 %
    tolerance = 6.5 / np.sqrt(2 * 500 * 25 / 17.5)
    assert abs(row["ratio"] - 1) < tolerance
    assert not abs(np.sqrt(2) * row["ratio"] - 1) < tolerance


@pytest.mark.statistical(false_alarm=1e-9)
def test_few_trials_get_an_interval_that_is_not_a_bootstrap_of_them():
    # 2 trials of effective dimension 25 / 17.5: the interval must be wide, and hold 1 in nearly all of 120 repeats
    ratios = [_summary(_records(2, seed=seed)) for seed in range(120)]
    fewest, _ = binomial_acceptance(120, 0.95, 2e-9)
    assert sum(row["ratio_low"] < 1 < row["ratio_high"] for row in ratios) >= fewest
    assert sum(row["ratio_low"] < 2.5 < row["ratio_high"] for row in ratios) < fewest
    assert {row["rmse_interval"] for row in ratios} == {"chi-square"}
    assert _summary(_records(60))["rmse_interval"] == "bootstrap-t"


@pytest.mark.statistical(false_alarm=3e-9)
def test_outliers_stay_in_and_are_counted():
    row = _summary(_records(500, outliers=5))
    assert row["rmse_m"] > 10
    assert row["gross_errors"] in (5, 6)  # a Gaussian error passes for a gross one with a probability of 1e-7
    assert count_gross_errors(list(_records(500)), 1) <= 1


def test_failures_mark_the_row():
    assert _summary(_records(10))["status"] == "ok"
    assert _summary(_records(10), failed=2)["status"] == "2 failed"
    empty = _summary([], failed=3)
    assert empty["status"] == "no estimate"
    assert "rmse_m" not in empty


def test_zero_errors_are_a_bound():
    row = _summary(_records(20, ber=0.0))
    assert row["ber"] == 0
    assert row["ber_low"] == 0
    assert row["ber_high"] == pytest.approx(1 - 0.05 ** (1 / (20 * 128)))
    assert "< " in " ".join(table_lines([row], tuple(POINT))[1][0])


def test_symbols_that_share_a_channel_estimate_are_one_group():
    records = list(_records(2, ber=0.0))
    for record in records:
        record |= {"bit_errors_estimated_u0": 0, "bit_errors_estimated_u1": 0, "ber_estimated_theory": 1e-4}
    row = _summary(records)
    assert row["ber_high"] == pytest.approx(1 - 0.05 ** (1 / (2 * 128)))
    assert row["ber_estimated_high"] == pytest.approx(1 - 0.05 ** (1 / (2 * 4)))


def test_share_of_gross_errors_has_an_upper_bound():
    row = _summary(_records(200))
    assert row["gross_errors"] == 0
    assert row["gross_error_rate_high"] == pytest.approx(1 - 0.05 ** (1 / 200))


def test_table_rounds_outwards_and_tells_the_value_from_the_ends():
    row = _summary(_records(60)) | {
        "rmse_m": 0.362, "rmse_low_m": 0.35623, "rmse_high_m": 0.3689, "rcrb_realized_m": 0.358, "rcrb_expected_m": 0.3,
        "ber": 0.0, "ber_high": 0.000585,
    }  # fmt: skip
    _, (cells,) = table_lines([row], tuple(POINT))
    assert "0.3620 [0.3562, 0.3689]" in cells
    assert "0.3580" in cells
    assert "< 5.9e-4 (0 errors)" in cells


def test_bit_errors_sum_over_users_and_trials():
    records = list(_records(50))
    row = _summary(records)
    errors = sum(r["bit_errors_known_u0"] + r["bit_errors_known_u1"] for r in records)
    assert row["ber_errors"] == errors
    assert row["bits"] == 50 * 2 * 1000
    assert row["ber"] == errors / row["bits"]
    assert row["ber_low"] < row["ber"] < row["ber_high"]


def test_same_records_same_row():
    assert _summary(_records(50)) == _summary(_records(50))


def test_csv_holds_every_column_of_every_row(tmp_path):
    rows = [_summary(_records(5)), infeasible_row(POINT, "too much")]
    write_csv(rows, tmp_path / "summary.csv")
    with (tmp_path / "summary.csv").open(newline="", encoding="utf-8") as file:
        read = list(csv.DictReader(file))
    assert float(read[0]["rmse_m"]) == rows[0]["rmse_m"]
    assert read[1]["status"] == "infeasible: too much"
    assert read[1]["rmse_m"] == ""
    header, cells = table_lines(rows, tuple(POINT))
    assert all(len(line) == len(header) for line in cells)


def test_misses_of_the_search_are_counted_and_shown():
    records = list(_records(60))
    clean = _summary(records)
    assert clean["search_missed"] == 0
    assert "missed" not in table_lines([clean], ["snr_db"])[0]
    row = _summary([record | {"search_missed": i < 7} for i, record in enumerate(records)])
    header, cells = table_lines([clean, row], ["snr_db"])
    assert [line[header.index("missed")] for line in cells] == ["0", "7"]
