"""The verb ``completion``: the scripts that make shells complete, and the answers to what they ask."""

from __future__ import annotations

import re
from collections.abc import Sequence

import click
from click.shell_completion import CompletionItem, split_arg_string

from fleetssh.cli.flags import Verb
from fleetssh.cli.output import say

HERE = "\0"
"""Ends the word that is being completed, so that a word that is still empty is one too."""

_TYPED_WITH_BACKSLASH = re.compile(r"([^\w@%+=:,./~-])", re.ASCII)

# bash cuts words at ':', '@' and '=', which unit names and flags are full of, and replaces only the piece in
# $2: so the program gets the line up to the cursor with that piece, and answers with what goes in its place.
# Bash 4.4 has nosort, and compopt came with 4.0.
_BASH = r"""# fleetssh completion for bash
_fleetssh() {
    local LC_ALL=C line
    COMPREPLY=()
    while IFS= read -r line; do
        COMPREPLY+=("$line")
    done < <("${1/#\~\//$HOME/}" completion bash -- "${COMP_LINE:0:COMP_POINT}" "$2" 2>/dev/null)
    if [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == */ ]]; then
        compopt -o nospace 2>/dev/null
    fi
}
complete -o nosort -F _fleetssh fleetssh 2>/dev/null || complete -F _fleetssh fleetssh
"""

# zsh quotes what it inserts, and must not quote a tilde; _describe wants its own quoting on top.
_ZSH = r"""#compdef fleetssh
# fleetssh completion for zsh
_fleetssh() {
    local line value home
    local -a before folders others
    (( CURRENT > 2 )) && before=("${(@Q)words[2,CURRENT-1]}")
    compset -P '\~/' && home='~/'
    while IFS= read -r line; do
        value=${${line%%$'\t'*}#$home}
        value=${${value//\\/\\\\}//:/\\:}
        case $value in
            */) folders+=("$value") ;;
            *) others+=("$value:${line#*$'\t'}") ;;
        esac
    done < <("${words[1]/#\~\//$HOME/}" completion zsh -- "${before[@]}" "$home${(Q)PREFIX}" 2>/dev/null)
    _describe -V -t values fleetssh others -- folders -S ''
}
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
    _fleetssh "$@"
else
    compdef _fleetssh fleetssh
fi
"""

_FISH = r"""# fleetssh completion for fish
function __fleetssh
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    set -l program (string replace -r '^~/' "$HOME/" -- $words[1])
    set -e words[1]
    $program completion fish -- $words "$current" 2>/dev/null
end
complete -c fleetssh -f -a '(__fleetssh)'
"""

SCRIPTS = {"bash": _BASH, "zsh": _ZSH, "fish": _FISH}


@click.command(cls=Verb)
@click.argument("shell", type=click.Choice(list(SCRIPTS)))
@click.argument("question", nargs=-1, metavar="")
@click.pass_context
def completion(ctx: click.Context, shell: str, question: tuple[str, ...]) -> None:
    """Print a script that makes SHELL (bash, zsh or fish) complete fleetssh's commands.

    It completes commands, flags and their values, units of the cluster's state, local unit files and
    machines of the inventory. No machine is asked for that.

    \b
    bash: add this line to ~/.bashrc:
      source <(fleetssh completion bash)
    zsh: add this line to ~/.zshrc, below compinit:
      source <(fleetssh completion zsh)
    fish: add this line to ~/.config/fish/config.fish:
      fleetssh completion fish | source
    """
    if not question:
        say(*SCRIPTS[shell].splitlines())
        return
    # Completion happens while a person types: whatever goes wrong, silence is the only answer that helps.
    try:
        lines = _answer(ctx.find_root().command, shell, question)
    except Exception:
        return
    say(*lines)


def _answer(program: click.Command, shell: str, question: Sequence[str]) -> list[str]:
    """What the script of ``shell`` asked for: a line for each candidate."""
    from fleetssh.cli.candidates import find_candidates

    assert isinstance(program, click.Group)
    if shell == "bash":
        line, piece = question
        *before, current = _split(line)
        found = find_candidates(program, before[1:], current)
        return [_replacement(item.value, line.removesuffix(piece)) for item in found]
    *before, current = question
    current = _split(current)[-1] if shell == "fish" else current
    return [_described(item) for item in find_candidates(program, before, current)]


def _split(line: str) -> list[str]:
    """The words of an unfinished command line without their quotes; the last is the one at its end."""
    *words, last = split_arg_string(line + HERE)
    return [*words, last.removesuffix(HERE)]


def _replacement(value: str, head: str) -> str:
    """``value`` as bash wants it: without what of it is in ``head`` (the line up to the piece that bash
    replaces), and with backslashes unless ``head`` ends inside quotes."""
    rest = value.removeprefix(_split(head)[-1])
    inside = split_arg_string(f"{head} {HERE}")[-1] != HERE
    return rest if inside else _TYPED_WITH_BACKSLASH.sub(r"\\\1", rest)


def _described(item: CompletionItem[str]) -> str:
    return f"{item.value}\t{' '.join((item.help or '').split())}"
