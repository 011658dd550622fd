"""What is to be installed on a proxy, made from its parts or from a request's JSON.

    make_installed("fault", "20% delay(2s) match key^=session:", spec, taken)
    make_installed("fault", {"kind": "delay", "options": {"delay": "2s"}, "count": 3}, spec, taken)
    make_installed("fault", {"roulette": ["10% delay(2s)", "5% error(LOADING)"]}, spec, taken)
    make_installed("script", {"steps": "pass 2, error(LOADING)", "match": "command=GET"}, …)
    make_installed("recipe", "recipe cold-cache for 60s", spec, taken)
    changed(installed, {"count": 5, "match": None}, spec)

Wherever a structure may stand, its sentence may stand too. All findings of a request are told
together, as ConfigErrors.
"""

from __future__ import annotations

from collections.abc import Container
from typing import Any

from rascal.config.registry import Registry, installed
from rascal.config.requests import Making, is_sentence
from rascal.config.specs import Form, Installed, ProxySpec
from rascal.errors import ConfigError, ConfigErrors


def structure(one: Installed) -> dict[str, Any]:
    """The canonical JSON; `make_installed` makes the same of it."""
    return dict(one.structure)


def make_installed(
    form: Form,
    data: Any,
    proxy: ProxySpec,
    taken: Container[str],
    *,
    registry: Registry | None = None,
    keep: str | None = None,
    enabled: bool = True,
) -> Installed:
    """Make what a request asks for.

    Args:
        form: fault (a roulette and a recipe may come of it), script or recipe.
        data: parsed JSON.
        proxy: for which it is.
        taken: the names that are in use on it.
        registry: by default what is installed.
        keep: the name that it must have (a change).
        enabled: whether it is, if the request does not say.

    Raises:
        ConfigErrors: all findings, with JSON pointers into `data`.
    """
    making = Making(registry or installed(), proxy.protocol, taken, keep, enabled)
    found = making.make(form, data)
    if making.findings or found is None:
        raise ConfigErrors(making.findings)
    return found


def changed(
    one: Installed, patch: Any, proxy: ProxySpec, *, registry: Registry | None = None
) -> Installed:
    """What an installed thing becomes by a JSON merge patch (RFC 7396), or by a new sentence.

    Members that are not named stay as they are, null takes one away, `options` are merged one by
    one unless `kind` changes. Name and form stay. Raises ConfigErrors.
    """
    form: Form = "script" if one.form == "script" else "fault"
    enabled = one.enabled
    if one.form == "recipe" and isinstance(patch, dict) and isinstance(patch.get("enabled"), bool):
        enabled = patch["enabled"]  # no clause of a recipe, but it can be armed as a whole
        patch = {name: value for name, value in patch.items() if name != "enabled"}
    data = patch
    if isinstance(patch, dict) and not is_sentence(patch):
        data = _merged(one, patch)
    made = make_installed(form, data, proxy, (), registry=registry, keep=one.name, enabled=enabled)
    if made.form != one.form:
        raise ConfigErrors(
            [
                ConfigError(
                    f"'{one.name}' is a {one.form} and cannot become a {made.form}: "
                    f"remove it and add the {made.form}",
                    pointer="/kind" if isinstance(patch, dict) and "kind" in patch else "",
                )
            ]
        )
    return made


def _merged(one: Installed, patch: dict[str, Any]) -> dict[str, Any]:
    data = structure(one)
    kind = patch.get("kind", data.get("kind"))
    if kind != data.get("kind"):
        data.pop("options", None)
    for name, value in patch.items():
        if value is None:
            data.pop(name, None)
        elif name == "options" and isinstance(value, dict) and isinstance(data.get(name), dict):
            options = data["options"] | value
            data["options"] = {key: given for key, given in options.items() if given is not None}
        else:
            data[name] = value
    return data
