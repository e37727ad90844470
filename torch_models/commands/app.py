"""The application ``sparsity-theory``: the list of its commands."""

from __future__ import annotations

from typing import Annotated

from sparsity_theory._extras import EXTRAS, needs

try:
    import typer

    from torch_models.commands.errors import BAD_VALUE, FAILED, INTERRUPTED, Interrupted
    from torch_models.commands.figure import figure
    from torch_models.commands.forecast import forecast
    from torch_models.commands.observe import observe
    from torch_models.commands.recipe import recipe
    from torch_models.commands.report import report
    from torch_models.commands.reproduce import reproduce
    from torch_models.commands.solve import solve
    from torch_models.commands.stable_clip import stable_clip
    from torch_models.commands.table import table
    from torch_models.commands.train_table import train_table
    from torch_models.records.prediction import RULE
except ModuleNotFoundError as missing:
    if missing.name not in EXTRAS:
        raise
    raise SystemExit(f"error: {needs('the command line', missing.name)}") from missing

import sparsity_theory as st

app = typer.Typer(
    help="Mean-field theory of networks with sparsity-inducing activations.",
    pretty_exceptions_enable=False,
)
app.command("solve")(solve)
app.command("forecast")(forecast)
app.command("recipe")(recipe)
app.command("observe")(observe)
app.command("stable-clip")(stable_clip)
app.command("reproduce", epilog=RULE)(reproduce)
app.command("train-table")(train_table)
app.command("table")(table)
app.command("figure")(figure)
app.command("report")(report)


@app.callback(invoke_without_command=True)
def root(
    context: typer.Context,
    show_version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.")
    ] = False,
) -> None:
    """Answer ``--version``, and show the help where no command was given."""
    if show_version:
        typer.echo(f"sparsity-theory {st.__version__}")
        raise typer.Exit()
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def run() -> int:
    """Run the command that the arguments name, and return its exit code."""
    try:
        code = int(app(prog_name="sparsity-theory", standalone_mode=False) or 0)
    except typer.TyperException as error:
        typer.echo(f"error: {' '.join(error.format_message().split())}", err=True)
        return error.exit_code if isinstance(error, Interrupted) else BAD_VALUE
    except typer.Abort:
        code = INTERRUPTED
    except MemoryError as error:
        typer.echo(f"error: out of memory: {error or 'no more can be had'}", err=True)
        return FAILED
    if code == INTERRUPTED:  # Typer turns Ctrl-C into this code and says nothing
        typer.echo("error: interrupted", err=True)
    return code
