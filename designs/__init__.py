"""Which signals to send: Fisher information and bounds, the designs P.1 to P.3 and baselines, and their solvers."""

if __name__ != "disac.designs":
    raise ImportError(f"import this package as disac.designs, not as {__name__}")

from disac.designs.bounds.crb import Bound, Unidentifiable, crb, crb_from_blocks, crb_from_fisher
from disac.designs.bounds.fisher import (
    MODES,
    DerivativeFactors,
    FisherOperator,
    fisher_information,
    sample_covariances,
)
from disac.designs.bounds.information import InformationBlocks
from disac.designs.bounds.phases import crb_over_phases
from disac.designs.precoders import achieved_sinr, antenna_power, transmitted_covariances
from disac.designs.precoding.files import SavedPrecoders, load_precoders, save_precoders
from disac.designs.problem.refusals import InfeasibilityProof, Infeasible, SidelobeProof, SidelobesInfeasible
from disac.designs.registry import DEFAULT_SOLVER, SOLVERS, design, design_names, register_design
from disac.designs.result import Certificate, DesignResult
from disac.designs.sweep import design_sweep

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
    "SavedPrecoders",
    "SidelobeProof",
    "SidelobesInfeasible",
    "Unidentifiable",
    "achieved_sinr",
    "antenna_power",
    "crb",
    "crb_from_blocks",
    "crb_from_fisher",
    "crb_over_phases",
    "design",
    "design_names",
    "design_sweep",
    "fisher_information",
    "load_precoders",
    "register_design",
    "sample_covariances",
    "save_precoders",
    "transmitted_covariances",
]
