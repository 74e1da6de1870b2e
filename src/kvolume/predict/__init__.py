"""What is known of output lengths: predictors make `predicted`, knowledge says what a policy sees of it."""

from kvolume.predict.knowledge import Exact, Knowledge, Lower, OneBit, Upper
from kvolume.predict.predictors import Classes, Interval, Noise, Perfect, parse

__all__ = ["Classes", "Exact", "Interval", "Knowledge", "Lower", "Noise", "OneBit", "Perfect", "Upper", "parse"]
