"""How far a model is to be trusted: extrapolation grades from active sets."""

from acegen.uncertainty.grade import extrapolation_grade
from acegen.uncertainty.maxvol import ActiveSet, active_set

__all__ = ["ActiveSet", "active_set", "extrapolation_grade"]
