"""The application ``sparsity-theory``: the list of its commands."""

from __future__ import annotations

from typing import Annotated

from sparsity_theory._extras import EXTRAS, needs

try:
    import typer

    from torch_models.commands.errors import BAD_VALUE, FAILED, INTERRUPTED, Interrupted
    from torch_models.commands.lazy import LazyGroup
except ModuleNotFoundError as missing:
    if missing.name not in EXTRAS:
        raise
    raise SystemExit(f"error: {needs('the command line', missing.name)}") from missing

import sparsity_theory as st

COMMANDS = {
    "solve": "Solve for tau, m, sigma_w^2 and sigma_b^2 on the edge of chaos, and tabulate maps.",
    "forecast": "Say from the exact law at finite width, training nothing, which networks train.",
    "recipe": "Say which threshold, clip and variances to choose, what to expect, and if it works.",
    "observe": "Build random networks and hold every layer against theory; nothing is trained.",
    "stable-clip": "Find the largest clip m for which networks fail no more often than the risk.",
    "reproduce": "Solve for rows of the paper, forecast, build, measure and train them, and judge.",
    "train-table": "Train the networks of Table 2, 4 or 5: one record a network.",
    "table": "Print Table 2, 4 or 5, our figures beside the paper's, from the records there are.",
    "figure": "Draw a figure of the paper, or all: 5 and 14 from records, the others from theory.",
    "report": "Write one page of HTML that says what was run in a folder, and what came of it.",
}
"""The first sentence of each command's help, in the order in which they are listed."""

app = typer.Typer(
    cls=LazyGroup,
    help="Mean-field theory of networks with sparsity-inducing activations.",
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for name, line in COMMANDS.items():
    app.command(name, short_help=line)(lambda: None)  # in its place until it is loaded


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
