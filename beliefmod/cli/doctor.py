"""`beliefmod doctor`: is this machine ready, and if not, what mends it?"""

from __future__ import annotations

from typing import Annotated

import typer


def doctor(
    runs: Annotated[str, typer.Option(help="The folder that runs are to be written to.")] = "runs",
    ray: Annotated[bool, typer.Option("--ray", help="Also start a local Ray session (seconds).")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
) -> None:
    """Check this machine: libraries, CPU, GPU, quantisation, disk, the bundled model. Exit 1 on a failure."""
    import json
    import logging
    from dataclasses import asdict

    from beliefmod.cli import doctor_checks as checks

    # its remark on a missing optional kernel would stand between the lines below
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
    subjects = [
        ("python", checks.python),
        ("libraries", checks.libraries),
        ("machine", checks.machine),
        ("gpu", checks.gpus),
        ("nf4", checks.nf4),
        ("runs folder", lambda: checks.runs_folder(runs)),
        ("bundled model", checks.bundled_model),
    ]
    if ray:
        subjects.append(("ray session", checks.ray_session))
    findings: list[checks.Finding] = []
    for subject, check in subjects:
        for finding in checks.guarded(subject, check):
            findings.append(finding)
            if not as_json:
                typer.echo(f"{finding.status:<4}  {finding.subject:<18}  {finding.found}")
                if finding.fix:
                    typer.echo(f"{'':24}  fix: {finding.fix}")
    if as_json:
        typer.echo(json.dumps([asdict(finding) for finding in findings], indent=1))
    if any(finding.status == "fail" for finding in findings):
        raise typer.Exit(1)
