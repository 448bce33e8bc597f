"""``disac report``: a run as one HTML file."""

from __future__ import annotations

from pathlib import Path

import click

from disac.experiments.cli.runs import RUN, told_errors


@click.command()
@click.argument("run", type=RUN)
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File to write; default: report.html in the run folder.",
)
def report(run: Path, out: Path | None) -> None:
    """Write a run's settings, results, pictures, failures and environment into one HTML file, also while it goes on.

    The file is complete in itself: it loads nothing and can be sent or printed as it is.
    """
    from disac.experiments.report.page import write_report

    with told_errors():
        click.echo(f"wrote {write_report(run, out)}")
