"""The conversion engine: plan, parallel parse, stage, write, verify, report. Knows no data set."""

from skelbench.convert.engine import Request, convert, plan_report
from skelbench.convert.merge import MergePlan, MergeRequest, merge, merge_plan
from skelbench.convert.report import PlanReport, Progress, Report

__all__ = [
    "MergePlan",
    "MergeRequest",
    "PlanReport",
    "Progress",
    "Report",
    "Request",
    "convert",
    "merge",
    "merge_plan",
    "plan_report",
]
