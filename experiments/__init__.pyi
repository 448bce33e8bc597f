from .campaign.runner import run_campaign as run_campaign
from .runs.store import read_run as read_run
from .trials.experiment import Column as Column
from .trials.experiment import Experiment as Experiment
from .trials.keys import Purpose as Purpose
