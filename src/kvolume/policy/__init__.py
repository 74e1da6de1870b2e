"""Policies: the contract, the built-in orders, admissions and evictions, and their names."""

from kvolume.policy.admission import Admission, Greedy, LookAhead, Peak, Protected
from kvolume.policy.contract import Columns, Plan, Planner, Request, Running, Scale, Setting, Start, State
from kvolume.policy.dominant import MachineTime
from kvolume.policy.easy import Reserving
from kvolume.policy.eviction import All, AtRandom, Eviction, LargestVolume, LastInOrder, Latest
from kvolume.policy.order import Arrival, LongestOutput, Order, ShortestOutput, Shuffled
from kvolume.policy.policy import Policy
from kvolume.policy.registry import Entry, Parameter, catalogue, find, parse, register
from kvolume.policy.svf import AgedVolume, ArrivalShare, Volume

__all__ = [
    "Admission", "AgedVolume", "All", "Arrival", "ArrivalShare", "AtRandom", "Columns", "Entry", "Eviction",
    "Greedy", "LargestVolume", "LastInOrder", "Latest", "LongestOutput", "LookAhead", "MachineTime", "Order",
    "Parameter", "Peak", "Plan", "Planner", "Policy", "Protected", "Request", "Reserving", "Running", "Scale",
    "Setting",
    "ShortestOutput", "Shuffled", "Start", "State", "Volume", "catalogue", "find", "parse", "register",
]  # fmt: skip
