"""`rascal completion SHELL`: the script that lets a shell complete what is typed.

The scripts call `rascal` again with the words so far (click.shell_completion). Bash breaks words
at '=' and ':', which are in the middle of our words, so its script hands over the whole line.
"""

from __future__ import annotations

import os
from typing import Any

import click
from click.shell_completion import (
    BashComplete,
    CompletionItem,
    FishComplete,
    ShellComplete,
    ZshComplete,
    add_completion_class,
    split_arg_string,
)

from rascal.cli import completing
from rascal.cli.output import say

VARIABLE = "_RASCAL_COMPLETE"

WHERE = {
    "bash": 'eval "$(rascal completion bash)"                      # in ~/.bashrc',
    "zsh": 'eval "$(rascal completion zsh)"                       # in ~/.zshrc, after compinit',
    "fish": "rascal completion fish > ~/.config/fish/completions/rascal.fish",
}

BASH = """\
%(complete_func)s() {
    local kind value answer
    answer=$(env COMP_LINE="${COMP_LINE:0:COMP_POINT}" %(complete_var)s=bash_complete $1)
    COMPREPLY=()
    while IFS=, read -r kind value; do
        [[ -n $value ]] || continue
        [[ $kind == dir ]] && compopt -o dirnames && continue
        [[ $kind == file ]] && compopt -o default && continue
        [[ $kind == open ]] && compopt -o nospace
        COMPREPLY+=("$value")
    done <<< "$answer"
    return 0
}
complete -o nosort -F %(complete_func)s %(prog_name)s
"""

ZSH = """\
#compdef %(prog_name)s

%(complete_func)s() {
    local -a plain open lines
    local kind value help
    (( ! $+commands[%(prog_name)s] )) && return 1
    lines=("${(@f)$(env COMP_WORDS="${(pj:\\n:)words}" COMP_CWORD=$((CURRENT-1)) \\
        %(complete_var)s=zsh_complete %(prog_name)s)}")
    for kind value help in ${lines}; do
        case $kind in
        dir) _path_files -/ ;;
        file) _path_files -f ;;
        open) open+=("${value//:/\\\\:}:${help}") ;;
        plain) plain+=("${value//:/\\\\:}:${help}") ;;
        esac
    done
    [[ -n $open ]] && _describe -V unsorted open -S ''
    [[ -n $plain ]] && _describe -V unsorted plain
}

if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
    %(complete_func)s "$@"
else
    compdef %(complete_func)s %(prog_name)s
fi
"""


def words_of(line: str) -> tuple[list[str], str]:
    """The whole words of a line after the command, and the one that is being typed."""
    words = split_arg_string(line)
    incomplete = "" if not words or line[-1:].isspace() else words.pop()
    return words[1:], incomplete


class Typed(ShellComplete):
    """Lets completers see the whole line."""

    def get_completions(self, args: list[str], incomplete: str) -> list[CompletionItem]:
        """What is offered."""
        completing.typed[:] = args
        return super().get_completions(args, incomplete)


@add_completion_class
class Bash(Typed, BashComplete):
    """Completion in bash, of whole words."""

    source_template = BASH

    @staticmethod
    def _check_version() -> None:
        """Nothing: old ones complete too, unsorted or not."""

    def get_completion_args(self) -> tuple[list[str], str]:
        """The words so far."""
        words, self.incomplete = words_of(os.environ.get("COMP_LINE", ""))
        return words, self.incomplete

    def format_completion(self, item: CompletionItem) -> str:
        """What bash is to put in place of the part that it takes for the word."""
        cut = max(self.incomplete.rfind("="), self.incomplete.rfind(":")) + 1
        return f"{item.type},{item.value[cut:]}"


@add_completion_class
class Zsh(Typed, ZshComplete):
    """Completion in zsh."""

    source_template = ZSH

    def get_completion_args(self) -> tuple[list[str], str]:
        """The words so far, one a line."""
        words = os.environ["COMP_WORDS"].split("\n")
        at = int(os.environ["COMP_CWORD"])
        return words[1:at], words[at] if at < len(words) else ""

    def format_completion(self, item: CompletionItem) -> str:
        """Kind, word and help, a line each."""
        help_ = (item.help or "").replace("\n", " ").replace(":", "\\:") or " "
        return f"{item.type}\n{item.value}\n{help_}"


@add_completion_class
class Fish(Typed, FishComplete):
    """Completion in fish, which sees by itself where no blank is to follow."""

    def format_completion(self, item: CompletionItem) -> str:
        """Kind, word and help."""
        kind = "plain" if item.type == "open" else item.type
        return super().format_completion(CompletionItem(item.value, kind, item.help))


SHELLS: dict[str, Any] = {"bash": Bash, "zsh": Zsh, "fish": Fish}


@click.command(
    epilog="\b\n" + "\n".join(f"{shell}: {text}" for shell, text in WHERE.items()),
)
@click.argument("shell", type=click.Choice(list(SHELLS)))
def completion(shell: str) -> None:
    """Print the completion script of SHELL.

    Completed are commands, options, proxies, faults, kinds with their options, match fields,
    errors: what the service has at this moment, asked with a short time-out.
    """
    from rascal.cli.app import rascal

    say(SHELLS[shell](rascal, {}, "rascal", VARIABLE).source())
