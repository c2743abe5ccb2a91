"""Command-line flags by absl.flags. Each command has a FlagValues of its own, so that commands in one process do not mix."""

from __future__ import annotations

import os
import shutil
import sys
import textwrap
from collections.abc import Callable, Sequence
from typing import Any

from absl import app, flags, logging

from t2t_multimodel.hyperparameter import Rule, allowed
from t2t_multimodel.registry import unknown

# The flags of absl that have an effect here. Its flags for log files have none, since log lines go to stderr alone.
_ABSL_FLAGS = {
    "absl.flags": (),
    "absl.logging": ("verbosity", "logger_levels"),
    "absl.app": ("pdb_post_mortem", "run_with_profiling", "profile_file", "use_cprofile_for_profiling", "only_check_args"),
}
assert app and logging  # importing them defines the flags


class CommandFlags:
    """Defines flags, parses a command line, and shows --help and --helpfull.

    Each type of flag has a method that adds one: `flags.integer("num_shards", 4, "files per train split", least=1)`. The default
    None means that the flag has no value unless it is given.

    Args:
        command: the command's name, for messages.
        about: one sentence for --help.

    Attributes:
        values: the absl FlagValues, which `parse` fills.
        section: the heading in --help of the flags that are defined next.
        path_names: the names of the flags that take paths.
        beyond_run_files: the names of flags that a run file (--config) does not set for this command.
    """

    def __init__(self, command: str, about: str) -> None:
        self.command = command
        self.about = about
        self.values = flags.FlagValues()
        self.section = "flags"
        self.path_names: set[str] = set()
        self.beyond_run_files: set[str] = set()
        self._add(_Exiting("help", "show the flags and exit", lambda: self.help(), short_name="h"))
        self._add(_Exiting("helpfull", "show the flags, absl's too, and exit", lambda: self.help(full=True)))

    def string(self, name: str, default: str | None, about: str) -> None:
        """Adds a flag that takes any text."""
        self.parsed(name, str, default, about)

    def path(self, name: str, default: str | None, about: str) -> None:
        """Adds a flag that takes a path; ~ is expanded."""
        self.path_names.add(name)
        self.parsed(name, expanded, default, about)

    def paths(self, name: str, about: str) -> None:
        """Adds a flag that takes a path and may be given several times; its value is a list, or None."""
        self.path_names.add(name)
        flags.DEFINE_multi(_Parser(expanded), _SERIALIZER, name, None, about, self.values, module_name=self.section)
        self.values[name].help = about  # absl has added that it may be repeated, in other words

    def integer(self, name: str, default: int | None, about: str, **limits: Any) -> None:
        """Adds a flag that takes an integer within `limits`, which are those of a `Rule`: least, most, above, below."""
        self._number(name, int, default, Rule(about, **limits))

    def number(self, name: str, default: float | None, about: str, **limits: Any) -> None:
        """Adds a flag that takes a finite number within `limits`, which are those of a `Rule`."""
        self._number(name, float, default, Rule(about, **limits))

    def boolean(self, name: str, default: bool | None, about: str) -> None:
        """Adds a flag that is given as --name, --name=true, --name=false or --noname."""
        flags.DEFINE(_BooleanParser(), name, default, about, self.values, module_name=self.section, boolean=True)

    def choice(self, name: str, choices: Sequence[str], default: str | None, about: str) -> None:
        """Adds a flag that takes one of `choices`."""
        flags.DEFINE_enum(name, default, choices, about, self.values, module_name=self.section)

    def parsed(self, name: str, parse: Callable[[str], Any], default: Any, about: str, form: str = "") -> None:
        """Adds a flag whose text `parse` turns into its value.

        Args:
            parse: raises ValueError with what would be right, as "must be ...".
            default: the value without the flag.
            about: the flag's line in --help.
            form: what would be right, for --help; "" adds nothing.
        """
        flags.DEFINE(_Parser(parse, form), name, default, about, self.values, _SERIALIZER, module_name=self.section)

    def exiting(self, name: str, about: str, text: Callable[[], str]) -> None:
        """Adds a flag that prints a text and ends the command with exit code 0."""
        self._add(_Exiting(name, about, text))

    def parse(self, argv: Sequence[str]) -> flags.FlagValues:
        """Parses `argv`, which begins with the first flag, and returns `values`.

        Raises:
            SystemExit: with code 2 after a mistake, which is printed as one line on stderr; with 0 after --help and its like.
        """
        self._add_absl_flags()
        self.values.set_gnu_getopt(True)
        try:
            rest = self.values([self.command, *argv])
        except flags.UnrecognizedFlagError as error:
            self._end(unknown("flag", f"--{error.flagname}", sorted(f"--{name}" for name in self.own_names())))
        except (flags.Error, ValueError) as error:
            self._end(" ".join(str(error).removeprefix("ERROR:: ").split()))
        if rest[1:]:
            self._end(f"unexpected {rest[1]!r}")
        return self.values

    def help(self, full: bool = False) -> str:
        """Returns the text of --help; with `full`, that of --helpfull, which has absl's flags too."""
        lines = [f"usage: {self.command} [flags]", "", self.about]
        for section, defined in self.values.flags_by_module_dict().items():
            if full or section not in _ABSL_FLAGS:
                lines += ["", f"{section}:", *(line for flag in defined for line in _described(flag))]
        return "\n".join(
            lines if full else [*lines, "", "Several flags may stand in a file: --flagfile=FILE. --helpfull shows absl's."]
        )

    def _number(self, name: str, kind: type, default: float | None, rule: Rule) -> None:
        form = allowed(kind, rule)

        def parse(text: str) -> float:
            try:
                value: float = kind(text)
            except ValueError:
                raise ValueError(f"must be {form}") from None
            if not rule.holds(value):
                raise ValueError(f"must be {form}")
            return value

        self.parsed(name, parse, default, rule.about, form)

    def _add(self, flag: flags.Flag) -> None:
        flags.DEFINE_flag(flag, self.values, module_name=self.section)

    def _add_absl_flags(self) -> None:
        """Adds absl's own flags as the objects of the global FLAGS, from which absl.app and absl.logging read them."""
        if "flagfile" in self.values:
            return
        about = "file of flags, one per line, put in place of this one; lines that begin with # are comments"
        flags.DEFINE_string("flagfile", None, about, self.values, module_name="absl.flags")
        flags.DEFINE_string(
            "undefok", None, "flags, separated by commas, that may be unknown", self.values, module_name="absl.flags"
        )
        for module, names in _ABSL_FLAGS.items():
            for name in names:
                flags.DEFINE_flag(flags.FLAGS[name], self.values, module_name=module)

    def exits(self, name: str) -> bool:
        """Returns whether a flag prints something and ends the command."""
        return isinstance(self.values[name], _Exiting)

    def own_names(self) -> list[str]:
        """Returns the names of all flags but absl's."""
        modules = self.values.flags_by_module_dict().items()
        return [flag.name for section, defined in modules if section not in _ABSL_FLAGS for flag in defined]

    def _end(self, message: str) -> Any:
        print(f"{self.command}: error: {message} (see {self.command} --help)", file=sys.stderr)
        raise SystemExit(2)


def expanded(path: str) -> str:
    """Returns a path with ~ or ~user replaced by the home folder; raises ValueError if there is no such user."""
    path = os.path.expanduser(path)
    if path.startswith("~"):
        raise ValueError(f"there is no user {path[1:].split('/')[0]!r}; write ./{path} for a folder of that name")
    return path


def _described(flag: flags.Flag) -> list[str]:
    """Returns the lines of --help about one flag."""
    notes = [flag.parser.syntactic_help] if flag.parser.syntactic_help and not flag.boolean else []
    if flag.default or (flag.default is not None and isinstance(flag.default, int | float) and not flag.boolean):
        notes.append(f"default: {flag.default}")
    short, no = f"-{flag.short_name}, " if flag.short_name else "", "[no]" if _takes_no(flag) else ""
    about = f"{flag.help} ({'; '.join(notes)})" if notes else str(flag.help)
    width = min(shutil.get_terminal_size((120, 24)).columns, 120) - 2
    return [f"  {short}--{no}{flag.name}", *textwrap.wrap(about, width, initial_indent=" " * 6, subsequent_indent=" " * 6)]


def _takes_no(flag: flags.Flag) -> bool:
    return bool(flag.boolean) and not isinstance(flag, _Exiting)


class _Parser(flags.ArgumentParser):
    """A parser that applies a function to text. A default that is not a string is kept as it is."""

    def __init__(self, parse: Callable[[str], Any], form: str = "") -> None:
        self._parse = parse
        self.syntactic_help = form

    def parse(self, argument: Any) -> Any:
        return self._parse(argument) if isinstance(argument, str) else argument


class _BooleanParser(flags.BooleanParser):
    """absl's parser of booleans with an error that says what would be right."""

    def parse(self, argument: Any) -> bool:
        try:
            return bool(super().parse(argument))
        except ValueError:
            raise ValueError("must be true or false") from None


class _Exiting(flags.BooleanFlag):
    """A flag that prints a text and ends the command."""

    def __init__(self, name: str, about: str, text: Callable[[], str], short_name: str | None = None) -> None:
        super().__init__(name, False, about, short_name=short_name)
        self._text = text

    def parse(self, argument: Any) -> None:
        if self._parse(argument):
            print(self._text(), flush=True)
            raise SystemExit(0)


_SERIALIZER: flags.ArgumentSerializer = flags.ArgumentSerializer()
