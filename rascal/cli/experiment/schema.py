"""`rascal experiment schema`: the JSON Schema of experiment files."""

from __future__ import annotations

import click

from rascal.cli.output import as_json


@click.command()
def schema() -> None:
    """The JSON Schema of experiment files, for editors that complete and check YAML.

    \b
    rascal experiment schema > experiment.schema.json

    With the first line `# yaml-language-server: $schema=experiment.schema.json` in an experiment
    editors know its names. What sentences may say, `rascal experiment check` knows.
    """
    from rascal.experiment.schema import schema as made

    as_json(made())
