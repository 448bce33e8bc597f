from .driver import NativeSolution as NativeSolution
from .driver import solve as solve
