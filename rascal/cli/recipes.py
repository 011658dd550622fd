"""`rascal recipes [RECIPE]`: incidents, and the faults that imitate them."""

from __future__ import annotations

from typing import Any

import click

from rascal.cli.completing import recipes as names
from rascal.cli.output import as_json, cannot, heading, paragraph, say, table


@click.command()
@click.argument("recipe", required=False, shell_complete=names)
@click.option("--json", "json_", is_flag=True, help="For programs: the same as JSON.")
def recipes(recipe: str | None, json_: bool) -> None:
    """List the recipes, or explain RECIPE: what it imitates, its options, its faults."""
    from rascal.config.describe import named, recipe_facts
    from rascal.faults.recipes import RECIPES

    if recipe is not None:
        with cannot():
            facts = recipe_facts(named("recipe", recipe, RECIPES, "rascal recipes"))
        if json_:
            as_json(facts)
        else:
            _explain(facts)
        return
    listing = {name: recipe_facts(one) for name, one in RECIPES.items()}
    if json_:
        as_json(listing)
        return
    table(
        ("RECIPE", "ON", "WHAT HAPPENS"),
        [(name, ", ".join(one["faults"]), one["summary"]) for name, one in listing.items()],
    )


def _explain(facts: dict[str, Any]) -> None:
    from rascal.cli.kinds import show_options

    say(click.style(f"recipe {facts['name']}", bold=True))
    paragraph(facts["summary"])
    paragraph(facts["imitates"])
    show_options(facts["options"])
    heading("faults, if nothing else is given")
    table(
        ("ON", "NAME", "SENTENCE"),
        [
            (protocol, name, sentence)
            for protocol, sentences in facts["faults"].items()
            for name, sentence in sentences.items()
        ],
    )
