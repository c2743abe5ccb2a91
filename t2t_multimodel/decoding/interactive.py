"""The prompt of mm-decoder: decodes line by line, for any problem of the model."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from t2t_multimodel.data.normalization import normalize_spaces
from t2t_multimodel.data.readers.pictures import read as pictures
from t2t_multimodel.data.readers.sound import kinds
from t2t_multimodel.decoding.files import changes_of, one_line, read_raw, read_text
from t2t_multimodel.decoding.shown_examples import ShownExamples
from t2t_multimodel.decoding.strategies import BeamSearch, Greedy, Sampling, Strategy
from t2t_multimodel.features import Audio, Image, Label, ProblemSpec, Text, is_tree
from t2t_multimodel.registry import unknown
from t2t_multimodel.utils.errors import DataError, UnknownNameError

COMMANDS = {
    ":problem NAME": "decode another problem",
    ":problems": "list the problems",
    ":example": "decode an example of dev, and show the right output",
    ":beam N": "beam search with N beams; 1 is greedy",
    ":nbest N": "show the N best outputs and their scores",
    ":sample T": "draw tokens at random, at temperature T",
    ":well_formed off": "show parse trees as the model writes them; on: as trees over the sentence's words",
    ":help": "this list",
    ":quit": "leave; so does Ctrl-D",
}
TOP_CLASSES = 3
_LINE_END = re.compile("\r\n|\r|\n")
MOST_BEAMS = 64

# Shows the prompt and returns the next line; raises EOFError at the end and KeyboardInterrupt for Ctrl-C.
ReadLine = Callable[[str], "str | bytes"]
Say = Callable[[str], None]


class Session:
    """A user's session, in which one of the model's problems is the current one.

    Args:
        decoder: a Predictor.
        problem: the first current problem; the Predictor is warmed up for it at once.
        answer: called with each line of output.
        say: called with every other message.
        every_line: True gives an empty line of output for an empty or damaged line, and takes no line as a command.
        data_dir: the records from which `:example` takes examples.
    """

    def __init__(
        self, decoder: Any, problem: str, answer: Say, say: Say, every_line: bool = False, data_dir: Path = Path("data")
    ) -> None:
        self._decoder = decoder
        self._examples = ShownExamples(data_dir)
        self._prepared: set[tuple[str, Strategy, bool]] = set()
        self._answer = answer
        self._say = say
        self._every_line = every_line
        self._problem = problem
        self._warm_up()

    def run(self, read_line: ReadLine, outlives_interrupts: bool = False) -> None:
        """Decodes lines until the end of input or `:quit`.

        Ctrl-C ends the session. If it `outlives_interrupts`, Ctrl-C only gives up the current line.
        """
        while True:
            try:
                pasted = read_line(f"{self._problem}> ")
                # str.splitlines would also split at characters such as U+0085 and U+2028, which do not end a file's lines.
                lines = _LINE_END.split(pasted) if isinstance(pasted, str) else [pasted]
                if not all(self.handle(line) for line in lines):
                    return
            except EOFError:
                return
            except KeyboardInterrupt:
                if not outlives_interrupts:
                    raise

    def handle(self, line: str | bytes) -> bool:
        """Decodes one line, or says in one line why not; returns False for `:quit`."""
        text = ""
        try:
            text = read_text(line)
            if text.startswith(":") and not self._every_line:
                return self._command(text)
            if normalize_spaces(text):
                self._decode(text)
                return True
        except (DataError, UnknownNameError) as error:
            self._say(one_line(str(error)) + self._other_problems(text))
        if self._every_line:
            self._answer("")
        return True

    def _other_problems(self, text: str) -> str:
        """Returns which problems take sentences, where a sentence was typed for a problem that takes files; else ""."""
        specs = self._decoder.specs
        if self._every_line or text.startswith(":") or " " not in text or Path(text).expanduser().exists():
            return ""
        if isinstance(self._decoder.spec(self._problem).inputs, Text):
            return ""
        names = [spec.name for spec in specs.values() if isinstance(spec.inputs, Text)]
        return f"; :problem NAME changes to another; sentences are for {', '.join(names)}" if names else ""

    def _decode(self, text: str) -> None:
        spec = self._decoder.spec(self._problem)
        raw = read_raw(spec.inputs, text)
        if cut := self._decoder.longest_input(self._problem, raw):
            self._say(f"too long; cut to {cut}")
        if changes := changes_of(raw):
            self._say(f"the {spec.inputs.kind} was changed: {', '.join(changes)}")
        if isinstance(spec.targets, Label):
            classes = self._decoder.classify(self._problem, [raw], TOP_CLASSES)[0]
            separator = "; " if spec.targets.words else ", "
            self._answer(separator.join(f"{spec.targets.shown(name)} ({chance:.0%})" for name, chance in classes))
            return
        outputs = self._decoder.predict(self._problem, [raw])[0].outputs
        for output in outputs:
            self._answer(f"{output.score:8.3f}  " * (len(outputs) > 1) + one_line(output.text))

    def _command(self, text: str) -> bool:
        name, _, argument = text.partition(" ")
        argument = argument.strip()
        if name == ":quit":
            return False
        if name == ":help":
            self._help()
        elif name == ":problems":
            for spec in self._decoder.specs.values():
                self._say(f"{'*' if spec.name == self._problem else ' '} {describe(spec)}")
        elif name == ":problem" and argument:
            self._switch(argument)
        elif name == ":problem":
            self._say(f":problem takes a name; there are: {', '.join(self._decoder.specs)}")
        elif name == ":example":
            self._show_example()
        elif name == ":well_formed":
            self._set_well_formed(argument)
        elif name in (":beam", ":nbest", ":sample"):
            self._search(name, argument)
        else:
            self._say(unknown("command", name, [command.partition(" ")[0] for command in COMMANDS]))
        return True

    def _search(self, name: str, argument: str) -> None:
        """Changes the strategy of the search, and warms up."""
        try:
            strategy = _changed(self._decoder.strategy, name, argument)
        except ValueError:
            what = "a temperature above 0" if name == ":sample" else f"a number from 1 to {MOST_BEAMS}"
            self._say(f"{name} takes {what}, got {argument!r}")
            return
        self._decoder.strategy = strategy
        self._prepare()

    def _set_well_formed(self, argument: str) -> None:
        """Sets whether parse trees must be trees over the sentence's words, and warms up."""
        if argument not in ("on", "off"):
            self._say(f":well_formed takes on or off, got {argument!r}")
            return
        self._decoder.well_formed_trees = argument == "on"
        self._prepare()

    def _switch(self, problem: str) -> None:
        self._decoder.spec(problem)
        self._problem = problem
        self._prepare()

    def _prepare(self) -> None:
        """Warms up, and says so before, if the current problem was not yet decoded in the current way."""
        if self._way() not in self._prepared:
            self._say(f"preparing {self._problem}, which takes some seconds ...")
            self._warm_up()

    def _warm_up(self) -> None:
        self._decoder.warm_up(self._problem)
        self._prepared.add(self._way())

    def _way(self) -> tuple[str, Strategy, bool]:
        return self._problem, self._decoder.strategy, self._decoder.well_formed_trees

    def _show_example(self) -> None:
        spec = self._decoder.spec(self._problem)
        line, right = self._examples.next(spec)
        self._say(f"input: {line}")
        self._say(f"right: {one_line(spec.targets.shown(right) if isinstance(spec.targets, Label) else right)}")
        self._decode(line)

    def _help(self) -> None:
        self._say(f"A line is {wanted_input(self._decoder.spec(self._problem))}.")
        for command, meaning in COMMANDS.items():
            self._say(f"  {command:18}{meaning}")


def _changed(strategy: Strategy, name: str, argument: str) -> Strategy:
    """Returns the strategy that the command `name` makes of `strategy`.

    Raises:
        ValueError: the argument is no number, or out of range.
    """
    if name == ":sample":
        return Sampling(float(argument))
    number = int(argument)
    if not 1 <= number <= MOST_BEAMS:
        raise ValueError(number)
    beam = strategy if isinstance(strategy, BeamSearch) else BeamSearch(1)
    size, best = (number, min(beam.n_best, number)) if name == ":beam" else (max(beam.size, number), number)
    return Greedy() if size == 1 else BeamSearch(size, beam.alpha, best)


def describe(spec: ProblemSpec) -> str:
    """Returns a problem's description in one line, like "caption: image -> text (to_english)"."""
    kinds = ("tree" if is_tree(f) else f.kind for f in (spec.inputs, spec.targets))
    return f"{spec.name}: {' -> '.join(kinds)} ({spec.target_space})"


def wanted_input(spec: ProblemSpec) -> str:
    """Returns what a line of input must be, in words."""
    if isinstance(spec.inputs, Image):
        return f"the path of an image ({pictures.READ})"
    return f"the path of a sound file ({kinds.READ})" if isinstance(spec.inputs, Audio) else "a sentence"


def interact(decoder: Any, problem: str, banner: str, data_dir: Path) -> None:
    """Runs a session on the terminal, with history and editing, or on a pipe.

    On a pipe each line of input gets one line of output on stdout, in UTF-8 whatever the locale is. No line is a command there.
    All messages go to stderr.

    Args:
        decoder: a Predictor.
        problem: the first current problem.
        banner: the first message.
        data_dir: the records from which `:example` takes examples.
    """
    at_terminal = sys.stdin.isatty() and sys.stdout.isatty()
    session = Session(decoder, problem, _print_answer, _print_message, every_line=not at_terminal, data_dir=data_dir)
    _print_message(f"{banner}\n{':help lists the commands' if at_terminal else f'every line is an input of {problem}'}")
    session.run(_terminal_lines() if at_terminal else _piped_lines(), outlives_interrupts=at_terminal)


def _terminal_lines() -> ReadLine:
    from prompt_toolkit import PromptSession

    prompt: PromptSession[str] = PromptSession()
    return prompt.prompt


def _piped_lines() -> ReadLine:
    lines: Iterator[bytes] = iter(sys.stdin.buffer.readline, b"")

    def read_line(prompt: str) -> bytes:
        line = next(lines, None)
        if line is None:
            raise EOFError
        return line.rstrip(b"\r\n")

    return read_line


def _print_answer(text: str) -> None:
    encoding = sys.stdout.encoding if sys.stdout.isatty() else "utf-8"
    sys.stdout.flush()
    sys.stdout.buffer.write(f"{text}\n".encode(encoding, "replace"))
    sys.stdout.buffer.flush()


def _print_message(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()
