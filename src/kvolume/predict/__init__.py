"""What is known of output lengths: predictors make `predicted`, knowledge says what a policy sees of it."""

from kvolume.predict.knowledge import Exact, Knowledge, OneBit
from kvolume.predict.predictors import Classes, Interval, Noise, Perfect, parse

__all__ = ["Classes", "Exact", "Interval", "Knowledge", "Noise", "OneBit", "Perfect", "parse"]
