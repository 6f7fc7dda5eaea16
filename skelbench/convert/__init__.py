"""The conversion engine: plan, parallel parse, stage, write, verify, report. Knows no data set."""

from skelbench.convert.engine import Request, convert, plan_report
from skelbench.convert.merge import MergeRequest, merge
from skelbench.convert.report import PlanReport, Progress, Report

__all__ = ["MergeRequest", "PlanReport", "Progress", "Report", "Request", "convert", "merge", "plan_report"]
