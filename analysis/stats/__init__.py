"""Statistics: intervals, tests, regressions, resampling. No knowledge of beliefs or reports."""
