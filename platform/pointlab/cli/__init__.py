"""The command line: `pointlab run`, `demo`, `report`, `show`, `records`, ..., and the groups `data`, `track`.

Bad input ends with a paragraph that says what to do, and exit code 2. Each module holds one group of
commands as plain functions; the table of them all is here.
"""

from pointlab.cli import (
    data,
    doctor,
    experiments,
    manifests,
    official,
    records,
    reports,
    show,
    submit,
    tracking,
)
from pointlab.cli.experiments import main_of_kind
from pointlab.cli.options import new_group
from pointlab.terminal import guarded

app = new_group(
    "Which pretraining should a point-cloud model start from, and will it still work under shift?"
)
for command, example in {
    **experiments.COMMANDS,
    **reports.COMMANDS,
    **show.COMMANDS,
    **records.COMMANDS,
    **submit.COMMANDS,
    **manifests.COMMANDS,
    **doctor.COMMANDS,
}.items():
    app.command(epilog=f"Example: {example}")(command)
for command, (name, example) in official.COMMANDS.items():
    app.command(name, epilog=f"Example: {example}")(command)
app.add_typer(data.app, name="data")
app.add_typer(tracking.app, name="track")


def main() -> None:
    """Entry point: errors that a user can fix become a paragraph and exit code 2."""
    guarded(app)


__all__ = ["app", "main", "main_of_kind"]
