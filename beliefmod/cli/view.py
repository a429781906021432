"""`beliefmod view`: a run's report in the browser, with all answers read when they are asked for."""

from __future__ import annotations

from typing import Annotated

import typer

from beliefmod.cli.options import UnfinishedRun


def view(
    run: UnfinishedRun,
    port: Annotated[int, typer.Option(metavar="PORT", help="Listen there; 0 takes a free port.")] = 0,
) -> None:
    """Show a run's report on this machine, with the answers of every trial; Ctrl-C ends it.

    The written page holds the answers of 200 trials at most; here those of any
    trial are read from its parquet file when it is opened. A run without a
    report, or one too large for a page, is shown as a list of configurations
    that is filtered here. Only 127.0.0.1 listens; nothing is written. Trials
    that end later are seen by the next start.
    """
    import signal

    from analysis.report.serve import RunServer, serve
    from analysis.report.viewed_run import ViewedRun
    from beliefmod.run.read_run import read_run

    # what a script starts in the background ignores the signal, and could not be ended by it
    signal.signal(signal.SIGINT, signal.default_int_handler)
    serve(RunServer(ViewedRun(read_run(run)), port), typer.echo)
