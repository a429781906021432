"""Every number of a run once more, from its raw completions."""
