"""Engines: a classifier's network compiled for a CPU by OpenVINO, and whether it still answers as the network does.

Nothing of OpenVINO is imported unless an engine is wanted; without the package everything is computed by torch.
"""
