"""The report: words, tables, charts and the page, from findings."""
