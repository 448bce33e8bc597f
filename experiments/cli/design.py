"""``disac design``: solve one design, say what is proved about it, draw it and save its precoders."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from disac.experiments.cli.errors import said_warnings, say
from disac.experiments.cli.runs import told_errors
from disac.experiments.cli.scenario import say_warnings, scenario_of, threshold_given
from disac.experiments.study.scene import assignment

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from disac.designs import DesignResult


class DesignCommand(click.Command):
    """A command whose help ends with the designs that are known."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the names; click calls this."""
        from disac.designs import design_names

        with formatter.section("Designs"):
            formatter.write_text(", ".join(design_names()))


@click.command(cls=DesignCommand)
@click.argument("name", default="p2")
@click.option("--preset", default="fig4", show_default=True, help="The paper's scenario to use (disac presets).")
@click.option("--scenario", "file", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Scenario TOML.")
@click.option("--set", "settings", multiple=True, metavar="FIELD=VALUE", help="Replace a scenario field (TOML value).")
@click.option(
    "--sinr-db",
    type=float,
    help="SINR threshold Gamma_c [dB]; default: the preset's, or none where it changes nothing.",
)
@click.option("--sidelobe-db", type=float, help="P.4: highest range sidelobe of any link [dB]; default: equal power's.")
@click.option("--mainlobe", type=float, help="P.4: where sidelobes begin, in first minima of equal power; default: 1.")
@click.option(
    "--option",
    "options",
    multiple=True,
    metavar="NAME=VALUE",
    help="Option of the design by its name (TOML value); repeatable.",
)
@click.option("--solver", help="native, clarabel, scs or mosek; default: the project's choice.")
@click.option("--netcdf", is_flag=True, help="Save the precoders as NetCDF too (needs the extra disac[io]).")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), help="Folder; default: runs/design-DATE.")
def design(
    name: str,
    preset: str,
    file: Path | None,
    settings: tuple[str, ...],
    sinr_db: float | None,
    sidelobe_db: float | None,
    mainlobe: float | None,
    options: tuple[str, ...],
    solver: str | None,
    netcdf: bool,
    out: Path | None,
) -> None:
    """Solve design NAME (default p2), or judge the precoders of a file NAME.npz.

    \b
    disac design p1 --preset fig7 --sinr-db 20
    """
    started = time.perf_counter()
    from disac.designs import DEFAULT_SOLVER, design_info, design_names
    from disac.designs import design as solve
    from disac.designs.precoding.files import is_precoder_file, save_precoders
    from disac.experiments.plotting.designs import plot_beampatterns, plot_subcarrier_power
    from disac.experiments.runs.folder import new_run

    if sinr_db is not None and not -300 <= sinr_db <= 300:
        raise click.UsageError(f"--sinr-db {sinr_db:g}: must be in [-300, 300]")
    scenario, threshold = scenario_of(preset, file, settings, sinr_db)
    asked: float | None = threshold
    known = is_precoder_file(name) or name in design_names()
    if sinr_db is None and known and not design_info(name).depends_on_sinr:
        asked = None
    else:
        threshold_given(threshold)
    say_warnings(scenario)
    with told_errors(), new_run("design", out) as new:
        folder, made = new.folder, new.staging
        with said_warnings():
            given = {"sidelobe_db": sidelobe_db, "mainlobe": mainlobe}
            given |= dict(assignment(text, option="--option") for text in options)
            result = solve(name, scenario, asked, solver=solver or DEFAULT_SOLVER, **given)
        if sinr_db is not None and result.sinr_db is None:
            say(f"note: {name} asks for no SINR, --sinr-db {sinr_db:g} is not used")
        for line in summary_lines(result, time.perf_counter() - started):
            click.echo(line)
        result.scenario.to_toml(made / "scenario.toml")
        save_precoders(made / "precoders.npz", result)
        if netcdf:
            save_precoders(made / "precoders.nc", result)
        plot_beampatterns(result, made / "beampatterns")
        plot_subcarrier_power(result, made / "subcarrier-power")
    click.echo(f"precoders and pictures in {folder}; transmit them with")
    click.echo(f"  disac run link --scenario {folder / 'scenario.toml'} --precoders {folder / 'precoders.npz'}")


def summary_lines(result: DesignResult, seconds: float) -> list[str]:
    """What ``disac design`` prints: bound, value, gap, SINR, power, time and status.

    Parameters
    ----------
    seconds : float
        Time from the start of the command to the result [s].
    """
    import numpy as np

    from disac.designs.result import FAR_ABOVE

    c = result.certificate
    s = result.scenario
    bound = np.sqrt(result.lower_bound)
    lines = [
        f"{result.name} by {result.solver}: {result.status} (the solver says {result.solver_status or 'nothing'})",
        f"  certified lower bound   {result.lower_bound:.6e} m^2   RCRB {bound:.6g} m, one symbol",
        f"  relaxed value           {result.relaxed_value:.6e} m^2   relative gap {result.gap:.2e}",
        f"  value of what is sent   {result.value:.6e} m^2   RCRB {result.rcrb_m:.6g} m"
        + (", for known phases between nodes" if result.correlates_nodes else ""),
        f"  loss of the extraction  {result.extraction_loss:.2e}",
        f"  largest violation       {c.residual:.1e} of scale",
        f"  time                    {seconds:.1f} s, of which {result.solve_seconds:.3f} s in the solver "
        f"({result.iterations} iterations), {result.compile_seconds:.3f} s to build its input;",
        "                          the rest loads and, on first use, compiles code, proves the bound, finds precoders",
    ]
    if result.rcrb_excess > FAR_ABOVE:
        lines.insert(
            4, f"  warning: what is sent has {100 * result.rcrb_excess:.0f} % more RCRB than the problem solved"
        )
    if c.sidelobes is not None:
        lines.append(f"  highest sidelobe        {c.pslr_db:.4f} dB over all links, outside the main lobe")
    lines += [f"  SINR of user {u}          {_range_db(values)} over subcarriers" for u, values in enumerate(c.sinr)]
    power = c.antenna_power.reshape(s.n_nodes, s.n_tx) / s.tx_power
    lines += [
        f"  power of node {n}         {values.min():.4f} to {values.max():.4f} P_T over antennas"
        for n, values in enumerate(power)
    ]
    return lines


def _range_db(ratios: NDArray[np.float64]) -> str:
    """Least and largest of positive ratios in dB, and in words where nothing is received."""
    import numpy as np

    positive = ratios[ratios > 0]
    if not len(positive):
        return "none"
    low, high = 10 * np.log10([positive.min(), positive.max()])
    return f"{'none' if len(positive) < len(ratios) else f'{low:.3f}'} to {high:.3f} dB"
