"""The report for a paper: LaTeX tables, PDF figures and a paragraph on methods."""
