"""Runtime: graphs, models and the ASE calculator; imports neither SymPy nor Jinja."""

from acegen.runtime.evaluation import Evaluation
from acegen.runtime.graph import GraphBatch
from acegen.runtime.load import load_bundle
from acegen.runtime.model import Model

__all__ = ["Evaluation", "GraphBatch", "Model", "load_bundle"]
