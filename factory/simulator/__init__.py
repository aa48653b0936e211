"""Providers on loopback that speak the providers' wire formats, for demo, tests and load.

No model is behind it: every answer says so. What a call really cost and how often it was made is
in the simulator's own log, which nothing of the platform writes.
"""

from factory.simulator.hosted import HostedSimulator, running_simulator
from factory.simulator.server import Simulator, SimulatorConfig

__all__ = ["HostedSimulator", "Simulator", "SimulatorConfig", "running_simulator"]
