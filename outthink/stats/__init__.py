"""Exact estimators on arrays: coverage, selection, votes, intervals, calibration, tournaments. Needs numpy only."""

from outthink.stats.calibration import (
    RiskCoverage,
    aurc,
    auroc,
    auroc_difference,
    brier_score,
    expected_calibration_error,
    risk_coverage,
    selective_utility,
)
from outthink.stats.coverage import coverage, pass_at_k, pass_hat_k
from outthink.stats.intervals import Interval, bootstrap_mean, clustered_bootstrap, holm, mcnemar, paired_bootstrap, sign_flip, wilson_interval
from outthink.stats.online_calibration import Hedging, OnlineCalibrator, OnlinePlatt, Tracking, forecast_online
from outthink.stats.selection import best_of_k, oracle_choice, random_choice, rank_weights
from outthink.stats.student import bootstrap_tail, student_quantile
from outthink.stats.tournament import knockout_failure_bound, knockout_success, match_win_probability
from outthink.stats.voting import VoteCurve, majority_at_k, majority_law, prefix_majority, weighted_majority_at_k

__all__ = [
    "Hedging",
    "Interval",
    "OnlineCalibrator",
    "OnlinePlatt",
    "RiskCoverage",
    "Tracking",
    "VoteCurve",
    "aurc",
    "auroc",
    "auroc_difference",
    "best_of_k",
    "bootstrap_mean",
    "bootstrap_tail",
    "brier_score",
    "clustered_bootstrap",
    "coverage",
    "expected_calibration_error",
    "forecast_online",
    "holm",
    "knockout_failure_bound",
    "knockout_success",
    "majority_at_k",
    "majority_law",
    "match_win_probability",
    "mcnemar",
    "oracle_choice",
    "paired_bootstrap",
    "pass_at_k",
    "pass_hat_k",
    "prefix_majority",
    "random_choice",
    "rank_weights",
    "risk_coverage",
    "selective_utility",
    "sign_flip",
    "student_quantile",
    "weighted_majority_at_k",
    "wilson_interval",
]
