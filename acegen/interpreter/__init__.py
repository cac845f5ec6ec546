"""The reference interpreter: a slow, plain NumPy evaluation of any Potential, the yardstick of every kernel."""

from acegen.interpreter.evaluate import Interpreted, interpret

__all__ = ["Interpreted", "interpret"]
