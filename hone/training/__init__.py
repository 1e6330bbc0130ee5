"""Training networks: one loop, deterministic and resumable to the bit."""

from hone.training.checkpoint import Checkpoint
from hone.training.predict import load_network, predict
from hone.training.train import Outcome, Settings, TrainingData, train

__all__ = ["Checkpoint", "Outcome", "Settings", "TrainingData", "load_network", "predict", "train"]
