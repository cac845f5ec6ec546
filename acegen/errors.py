"""Floor 0: every exception acegen raises on purpose; one clear sentence each."""


class AcegenError(Exception):
    """Base class: bad input or a failed build, explained in one sentence."""


class SpecError(AcegenError):
    """A basis specification breaks a rule: names file, key, found, expected."""


class PotentialError(AcegenError):
    """A fitted potential file is malformed or asks for something unknown."""


class BuildError(AcegenError):
    """The C compiler is missing or failed; carries the path of the kept log."""


class LoadError(AcegenError):
    """A bundle or compiled object cannot be loaded."""


class InputError(AcegenError):
    """Arrays or structures handed to a model are unusable: names the argument."""
