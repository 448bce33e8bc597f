from .designs import DESIGN_CHECKS as DESIGN_CHECKS
from .designs import check_design as check_design
from .designs import design_scenes as design_scenes
from .estimators import check_estimator as check_estimator
from .studies import check_study as check_study
