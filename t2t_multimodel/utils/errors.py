"""The errors that this package raises on purpose. A command prints the message as one line and ends with exit code 2."""


class MultiModelError(Exception):
    """The base of all errors of this package. The message is one line: what is wrong, and what would be right."""


class UserError(MultiModelError):
    """A mistake in a command's flags."""


class DataError(MultiModelError):
    """Raw data that is missing or damaged; the message names the file or the record and says what would be right.

    A generator raises it from inside its loop only for what cannot be skipped. A damaged single example is yielded as
    `{"error": DataError(...)}`, so that `--on_error=skip` can go on behind it.
    """


class UnknownNameError(MultiModelError, KeyError):
    """No value is registered under a name; the message lists similar names, or all."""

    def __str__(self) -> str:
        return str(self.args[0])


class WorkerError(MultiModelError):
    """Worker processes could not be started, or ended before their work was done; the message says what can be done."""


class NotFinite(MultiModelError):
    """The loss or the gradient was not finite for several steps in a row; the message names the problem and the step."""
