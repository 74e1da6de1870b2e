"""From a spec to the workload that it describes: source, draw, arrivals, load, predictions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from kvolume.clock import Clock, Shares, parse_clock
from kvolume.errors import InputError, unknown_name
from kvolume.geometry import Holding, peak
from kvolume.study.defaults import DEFAULT_LOAD
from kvolume.study.spec import CompareSpec
from kvolume.workload import Workload


def prepare(spec: CompareSpec) -> Workload:
    """The workload that a spec describes. Raises InputError, ParameterError or UnknownNameError.

    A file replays as recorded unless the spec says otherwise. A built-in workload is drawn, and scaled to a load
    of 0.97 unless the spec names a load, a rate, a burst or recorded arrivals.
    """
    workload, built_in = load_source(spec)
    return shape(workload, spec, default_load=DEFAULT_LOAD if built_in else None)


def load_source(spec: CompareSpec) -> tuple[Workload, bool]:
    """The source as it is, with `num_prompts` rows where that is given; and whether it is a built-in workload."""
    from kvolume.workload.draw import draw
    from kvolume.workload.synthetic import names, synthetic

    known = names()
    if spec.source in known:
        return synthetic(spec.source, spec.num_prompts, spec.seed), True
    path = Path(spec.source)
    if spec.source != "-" and not path.exists():
        if path.suffix or path.name != spec.source:
            raise InputError(f"There is no file '{spec.source}'. Give a file that exists, '-' or a built-in workload.")
        raise _neither(spec.source, known)
    workload = Workload.read(spec.source, skip_bad_rows=spec.skip_bad_rows)
    if spec.num_prompts is not None:
        workload = draw(workload, spec.num_prompts, spec.seed)
    return workload, False


def shape(workload: Workload, spec: CompareSpec, *, default_load: float | None = None) -> Workload:
    """`workload` with the arrivals, the load and the predictions of `spec`."""
    clock = parse_clock(spec.clock)
    load = spec.load
    if default_load is not None and spec.request_rate is None and not spec.burst and spec.arrivals != "recorded":
        load = spec.load if spec.load is not None else default_load
    if spec.arrivals == "recorded" and not workload.has_arrivals:
        raise InputError(
            f"'{workload.name}' has lengths but no recorded arrival times: use --burst, or --arrivals poisson with "
            "--load or --request-rate."
        )
    if spec.arrivals not in (None, "recorded"):
        workload = _arriving(workload, str(spec.arrivals), spec.seed)
        if load is None and spec.request_rate is None:
            raise InputError(
                f"--arrivals {spec.arrivals} gives the shape of the arrivals but not their rate: add --load, such as "
                "--load 0.97, or --request-rate."
            )
    if spec.burst:
        workload = workload.burst()
    elif load is not None:
        workload = workload.at_load(load * _work_share(workload, spec.kv_tokens, clock), spec.kv_tokens, clock=clock,
                                    seed=spec.seed)  # fmt: skip
    elif spec.request_rate is not None:
        workload = workload.at_rate(spec.request_rate, seed=spec.seed)
    elif not workload.has_arrivals:
        raise InputError(
            f"'{workload.name}' has lengths but no arrival times: add --load, such as --load 0.97, or --request-rate "
            "for Poisson arrivals, or --burst."
        )
    if spec.predict is not None:
        from kvolume.predict import parse

        workload = workload.with_predictions(parse(spec.predict), spec.seed)
    return workload


def fitting(workload: Workload, kv_tokens: int, holding: Holding = "unit") -> npt.NDArray[np.bool_]:
    """Which requests can ever run: those whose peak is within the budget."""
    return np.asarray(peak(workload.prompt_tokens, workload.output_tokens, holding) <= kv_tokens)


def served(workload: Workload, kv_tokens: int, holding: Holding = "unit") -> Workload | None:
    """The requests that fit, in their order; None where none does."""
    fits = fitting(workload, kv_tokens, holding)
    if fits.all():
        return workload
    return workload.take(np.flatnonzero(fits)) if fits.any() else None


def _arriving(workload: Workload, arrivals: str, seed: int) -> Workload:
    from kvolume.workload.arrivals import gaps

    # A stream of its own: the same seed also draws lengths, and the two must not be correlated.
    return workload.with_gaps(gaps(arrivals, len(workload), np.random.default_rng([seed, 1])))


def _work_share(workload: Workload, kv_tokens: int, clock: Clock) -> float:
    """All work over that of the requests that fit: the load is what the served requests offer."""
    work = clock.work(workload.prompt_tokens, workload.output_tokens, Shares(1 / kv_tokens))
    fits = fitting(workload, kv_tokens)
    kept = float(np.sum(work[fits]))
    return float(np.sum(work)) / kept if kept else 1.0


def _neither(source: str, known: tuple[str, ...]) -> Exception:
    error = unknown_name("workload", source, known)
    return type(error)(f"{error} There is no file of that name either.")


def described(spec: CompareSpec) -> Workload:
    """The workload of a spec, as recorded (or without arrival times) where the spec says nothing of arrivals."""
    workload, _ = load_source(spec)
    says = (spec.load is not None, spec.request_rate is not None, spec.burst, spec.arrivals is not None)
    return shape(workload, spec) if any(says) else workload


def generate(spec: CompareSpec) -> Workload:
    """A built-in workload as a spec describes it, at its recorded rate unless the spec says otherwise."""
    from kvolume.workload.synthetic import names

    if spec.source not in names():
        raise unknown_name("workload", spec.source, names())
    return described(spec)
