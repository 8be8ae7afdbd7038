"""A throw-away cluster of real systemd machines on this computer."""

from fleetssh.lab.cluster import Condition, Lab, LabMachine

__all__ = ["Condition", "Lab", "LabMachine"]
