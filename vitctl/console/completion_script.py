"""What shells run to complete a command line of vitctl; typer's own scripts cannot do our values.

Bash breaks words at `=`, `:` and `@` too, so that of `RUN@20k`, `KEY=VALUE` and `v3:2x2` it names
the last part alone, and what is offered replaces that part alone. Here the line up to the cursor is
broken at blanks, and what is offered loses what readline keeps. A key of `--set` gets no blank
behind its `=`; names with special characters are quoted, and nothing is expanded as a pattern.

zsh is given its words by typer as those of `_arguments`, which puts a blank behind each. Keys of
`--set`, which a value follows, are given to `_describe` without.
"""

from __future__ import annotations

import shlex

from typer import _completion_classes, _completion_shared

_typer_for_zsh = _completion_classes.ZshComplete.complete

BASH = r"""
%(complete_func)s() {
    local line=${COMP_LINE:0:COMP_POINT} words offered word character
    IFS=$' \t' read -ra words <<<"$line"
    local full= count=${#words[@]}
    if [[ $line != *[[:blank:]] ]]; then
        full=${line##*[[:blank:]]}
        count=$((count - 1))
    fi
    local piece=$full
    for character in = :; do
        if [[ $COMP_WORDBREAKS == *"$character"* ]]; then
            piece=${piece##*"$character"}
        fi
    done
    if [[ $COMP_WORDBREAKS == *@* && $piece == *@* ]]; then
        piece=@${piece##*@}  # which readline replaces, too
    fi
    local kept=${full%%"$piece"}
    offered=$(env COMP_WORDS="$line" COMP_CWORD="$count" \
              %(autocomplete_var)s=complete_bash "$1")
    COMPREPLY=()
    while IFS= read -r word; do
        if [[ -n $word ]]; then
            printf -v word %%q "${word#"$kept"}"
            COMPREPLY+=("$word")
        fi
    done <<<"$offered"
    if [[ ${COMPREPLY[0]} == *= ]]; then
        compopt -o nospace
    fi
    return 0
}

complete -o default -F %(complete_func)s %(prog_name)s
"""


def use() -> None:
    """Make them those that `--install-completion` and `--show-completion` give, and that shells
    run."""
    _completion_classes.ZshComplete.complete = _for_zsh  # type: ignore[method-assign]
    _completion_shared._completion_scripts["bash"] = BASH
    _completion_classes.BashComplete.source_template = BASH


def _for_zsh(self: _completion_classes.ZshComplete) -> str:
    """What zsh evaluates to complete the word at the cursor."""
    items = self.get_completions(*self.get_completion_args())
    if not items or not all(str(item.value).endswith("=") for item in items):
        return _typer_for_zsh(self)
    # A colon ends the word in what `_describe` takes, unless it is escaped.
    pairs = [str(item.value).replace(":", "\\:") + f":{item.help or ''}" for item in items]
    return f"local -a keys; keys=({shlex.join(pairs)}); _describe setting keys -S ''"
