"""The trained artefact: save, load, predict, explain."""

from medcls.classifier.classifier import Classifier
from medcls.classifier.loading import load_classifier
from medcls.classifier.predictions import Prediction, Row

__all__ = ["Classifier", "Prediction", "Row", "load_classifier"]
