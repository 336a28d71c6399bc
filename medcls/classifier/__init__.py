"""The trained artefact: save, load, predict, explain."""

from medcls.classifier.answers import Answer, Row
from medcls.classifier.classifier import Classifier
from medcls.classifier.loading import load_classifier

__all__ = ["Answer", "Classifier", "Row", "load_classifier"]
