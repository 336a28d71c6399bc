"""The trained artefact: save, load, predict, explain."""

from medcls.classifier.classifier import Classifier
from medcls.classifier.loading import load_classifier
from medcls.classifier.predictions import Answer, Row

__all__ = ["Answer", "Classifier", "Row", "load_classifier"]
