"""The report's sections. `analysis.report.compose.SECTIONS` lists them in the order of the page.

A section is one module with

    blocks(found: Findings) -> list[Block]
        What it says, beginning with its own `Heading(2, ...)`; an empty list leaves the section out. Where a
        run lacks what it needs, it says so in one sentence instead of failing.
    figures(found: Findings) -> dict[str, CaptionedChart]      (optional)
        Its charts by name. A name is unique in the report and safe as a file name
        (`report.blocks.file_name`). A section places a chart with `Figure(name, caption)`; those it does
        not place follow its text, with the caption of their `CaptionedChart`.

Numbers come from `Findings`; what it lacks from `found.run` (`probes`, `causal`, `drift`, `judge`, `steps`),
only the columns that are shown: a run may have 1,000 trials of 250 probes.
"""
