"""Which signals to send: Fisher information and bounds, the designs P.1 to P.3 and baselines, and their solvers."""

if __name__ != "disac.designs":
    raise ImportError(f"import this package as disac.designs, not as {__name__}")

from importlib import import_module

from disac.designs.crb import Bound, Unidentifiable, crb, crb_from_blocks, crb_from_fisher
from disac.designs.fisher import (
    MODES,
    DerivativeFactors,
    FisherOperator,
    InformationBlocks,
    fisher_information,
    sample_covariances,
)
from disac.designs.registry import DEFAULT_SOLVER, SOLVERS, design, design_names, register_design
from disac.designs.result import Certificate, DesignResult, Infeasible, InfeasibilityProof

_LAZY: dict[str, str] = {}
"""Public name -> module that holds it, for modules whose imports are too heavy to load with the package."""

__all__ = [
    "DEFAULT_SOLVER",
    "MODES",
    "SOLVERS",
    "Bound",
    "Certificate",
    "DerivativeFactors",
    "DesignResult",
    "FisherOperator",
    "InfeasibilityProof",
    "Infeasible",
    "InformationBlocks",
    "Unidentifiable",
    "crb",
    "crb_from_blocks",
    "crb_from_fisher",
    "design",
    "design_names",
    "fisher_information",
    "register_design",
    "sample_covariances",
]


def __getattr__(name: str) -> object:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(_LAZY[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY})
