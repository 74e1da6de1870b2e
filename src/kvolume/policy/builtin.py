"""The built-in policies, as data: name, parameters, knowledge needed, guarantee, source."""

from __future__ import annotations

from collections.abc import Mapping

from kvolume.errors import ParameterError, unknown_name
from kvolume.policy.dominant import MachineTime
from kvolume.policy.easy import Reserving
from kvolume.policy.order import Arrival, LongestOutput, Order, ShortestOutput, Shuffled
from kvolume.policy.planners import PLANNERS
from kvolume.policy.policy import Policy
from kvolume.policy.registry import COMMON, Entry, Parameter, three_answers
from kvolume.policy.svf import AgedVolume, ArrivalShare, Volume
from kvolume.predict import OneBit, Upper
from kvolume.text import number

Values = Mapping[str, str]

SVF = "SVF, arXiv 2606.22327"
MCSF = "MC-SF, arXiv 2502.07115"
NO_BOUND = "none: no bound holds on all bursts"

FAIR_SHARE = 0.3  # benchmarks/share_front.py: the knee of mean against P99.9 and the longest wait
SHARE = {"share": Parameter("0", "share of the admitted volume that goes to the oldest request, 0 to 1")}
AGING = {
    "aging": Parameter("none", "log or linear: older requests move up, keys stay static"),
    "kappa": Parameter("3", "strength of aging=log, in mean outputs; larger is closer to svf"),
    "phi": Parameter("0.01", "strength of aging=linear; smaller is closer to svf"),
}


def _shared(order: Order, values: Values, what: str) -> Order:
    share = number(values.get("share", 0), "share", what, low=0, high=1)
    return ArrivalShare(order, share) if share else order


def _svf(values: Values) -> Policy:
    what, aging = "policy svf", values.get("aging", "none")
    if aging not in ("none", "log", "linear"):
        raise unknown_name("aging", aging, ("none", "log", "linear"))
    for name, needs in (("kappa", "log"), ("phi", "linear")):
        if name in values and aging != needs:
            raise ParameterError(f"The '{name}' parameter of {what} needs aging={needs}.")
    order: Order = Volume()
    if aging != "none":
        kappa = number(values.get("kappa", 3), "kappa", what, low=0, high=1e9)
        order = AgedVolume(aging, kappa, number(values.get("phi", 0.01), "phi", what, low=0, high=1e9))
    return three_answers(_shared(order, values, what), values, what)


def _fair_svf(values: Values) -> Policy:
    what = "policy fair-svf"
    share = number(values.get("share", FAIR_SHARE), "share", what, low=0, high=1)
    return three_answers(ArrivalShare(Volume(), share), values, what, admit="greedy")


def _easy_svf(values: Values) -> Policy:
    what = "policy easy-svf"
    share = number(values.get("share", FAIR_SHARE), "share", what, low=0, high=1)
    depth = int(number(values.get("depth", 8), "depth", what, low=0, high=4096, integer=True))
    answers = three_answers(ArrivalShare(Volume(), share), values, what)
    return Reserving(answers.order, answers.admission, answers.eviction, seed=answers.seed, depth=depth)


def _one_bit(values: Values) -> Policy:
    what = "policy one-bit"
    rule = values.get("rule", "empirical")
    if rule not in ("empirical", "worst-case", "geometric"):
        raise unknown_name("rule", rule, ("empirical", "worst-case", "geometric"))
    theta = int(number(values["theta"], "theta", what, low=1, integer=True)) if "theta" in values else None
    mu = number(values["mu"], "mu", what, low=0, high=1, open_low=True) if "mu" in values else None
    most = int(number(values["T"], "T", what, low=1, integer=True)) if "T" in values else None
    order = _shared(Volume(), values, what)
    return three_answers(order, values, what, knowledge=OneBit(rule, theta, mu, most))


def _alpha_protection(values: Values) -> Policy:
    what = "policy alpha-protection"
    evict = {"evict": "random"} if "beta" in values else {}
    values = {"admission": "protected", "evict": "all", "keep": "0"} | evict | dict(values)
    return three_answers(Arrival(), values, what)


BUILTIN: tuple[Entry, ...] = (
    Entry(
        "fcfs", "First come, first served, by look-ahead: nobody is ever evicted.",
        lambda v: three_answers(Arrival(), v, "policy fcfs"), COMMON,
        guarantee=NO_BOUND, paper=f"{MCSF} (MC-Benchmark)",
    ),
    Entry(
        "vllm", "First come, first served as vLLM does it: greedy, evicts the latest, which keeps its tokens.",
        lambda v: three_answers(Arrival(), v, "policy vllm", admit="greedy"),
        COMMON | {"admission": COMMON["admission"]._replace(default="greedy")},
        knowledge="none", guarantee=NO_BOUND, paper="vLLM V1 scheduler",
    ),
    Entry(
        "sjf", "Smallest predicted output first.",
        lambda v: three_answers(ShortestOutput(), v, "policy sjf"), COMMON,
        guarantee="9216 for equal prompts, all at 0, M >= 2 max(s+o); none otherwise", paper=MCSF,
    ),
    Entry(
        "one-bit", "SVF that is told only whether a request is short or long.",
        _one_bit,
        COMMON | SHARE | {
            "rule": Parameter("empirical", "empirical, worst-case (Thm 3.3) or geometric (Thm 3.5)"),
            "theta": Parameter("median output", "a request is short iff its output is at most theta tokens"),
            "mu": Parameter("1 / mean output", "parameter of the geometric law (rule=geometric)"),
            "T": Parameter("longest output", "maximum output length (rule=worst-case)"),
        },
        knowledge="one bit: short or long", guarantee="1 + 2T/(1-alpha), all at 0 (rule=worst-case)", paper=SVF,
    ),
    Entry(
        "svf", "Smallest predicted KV volume first; optionally aged, or with a share for the oldest.",
        _svf, COMMON | SHARE | AGING,
        guarantee="1 + 2/((1-alpha)(1-share)), all at 0, peaks <= alpha M", paper=SVF,
    ),
    Entry(
        "fair-svf", "SVF with a share for the oldest and vLLM's own admission: what a server should run.",
        _fair_svf,
        COMMON | {
            "share": SHARE["share"]._replace(default=f"{FAIR_SHARE}"),
            "admission": COMMON["admission"]._replace(default="greedy"),
        },
        guarantee="at most (Q_j + max(v_j, e_j))/share volume is admitted while j waits (docs, policies)", paper=SVF,
    ),
    Entry(
        "dominant", "Smallest machine time first: svf, sjf or shortest prompt, whichever resource runs out.",
        lambda v: three_answers(_shared(MachineTime(), v, "policy dominant"), v, "policy dominant"), COMMON | SHARE,
        guarantee="that of svf where only memory is capped and rounds are equal", paper=f"ours, after {SVF}",
    ),
    Entry(
        "easy-svf", "SVF with a share for the oldest; a head that does not fit has a reservation, others fill.",
        _easy_svf,
        {k: COMMON[k] for k in ("evict", "beta", "keep", "seed")} | {
            "share": SHARE["share"]._replace(default=f"{FAIR_SHARE}"),
            "depth": Parameter("8", "requests tried for the room before the reserved round"),
        },
        guarantee="at most (Q_j + v_j)/share + (n_j + 2) M o* volume is admitted while j waits (docs, policies)",
        paper="EASY backfilling, Lifka 1995",
    ),
    Entry(
        "peak", "First come, first served with every peak reserved in full.",
        lambda v: three_answers(Arrival(), v, "policy peak", admit="peak"),
        COMMON | {"admission": COMMON["admission"]._replace(default="peak")},
        guarantee=NO_BOUND,
    ),
    Entry(
        "alpha-protection", "Arrival order below (1-alpha) M; on overflow everybody, or each with beta, starts again.",
        _alpha_protection,
        {k: COMMON[k] for k in ("alpha", "beta", "backfill", "seed")},
        knowledge="none", guarantee="none: clearing can cycle for ever", paper=MCSF,
    ),
    Entry(
        "a-max", "Smallest upper bound of the output first, and reckons with it: nobody is ever evicted.",
        lambda v: three_answers(ShortestOutput(), v, "policy a-max", knowledge=Upper()), COMMON,
        knowledge="upper bound u of the output (column upper, or the prediction)",
        guarantee="(u/2l)(1 + u/l), all at 0, equal prompts", paper="A-max, arXiv 2508.14544",
    ),
    Entry(
        "random", "A random but fixed order.",
        lambda v: three_answers(Shuffled(int(number(v.get("seed", 0), "seed", "policy random", low=0, high=2**31,
                                                    integer=True))), v, "policy random"),
        COMMON, knowledge="none",
    ),
    Entry(
        "longest-first", "Largest predicted output first: the deliberately bad one.",
        lambda v: three_answers(LongestOutput(), v, "policy longest-first"), COMMON,
    ),
)  # fmt: skip

_ALIASES = (
    ("mc-sf", "sjf", "Smallest predicted output first by look-ahead: sjf under its paper's name."),
    ("mc-benchmark", "fcfs", "Arrival order by look-ahead: fcfs under its paper's name."),
)


def _alias(id: str, target: str, summary: str) -> Entry:
    entry = next(e for e in BUILTIN if e.id == target)
    return Entry(id, summary, entry.make, entry.parameters, entry.knowledge, entry.guarantee, entry.paper, target)


BUILTIN += PLANNERS + tuple(_alias(*alias) for alias in _ALIASES)
