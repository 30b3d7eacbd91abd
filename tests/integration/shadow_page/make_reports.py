#!/usr/bin/env python3
"""Make the reports that the tests of the page show: `python3 make_reports.py`, beside this file.

Rollouts are played with fixed seeds, so that the figures have the shapes that a reader will meet: a
classifier that is nearly proven, a regression that fails, an embedding that passes, one that has only
begun. `hostile.json` has names that try to break out of the page.
"""

import json
import math
from bisect import bisect_right
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

HERE = Path(__file__).resolve().parent
BEGIN = datetime(2026, 9, 1, 2, 0, tzinfo=UTC)
RISKS = [(1.5, 0.10), (2, 0.20), (3, 0.25), (5, 0.20), (10, 0.15), (30, 0.07), (100, 0.03)]
BETS = [0.90, 0.50, 0.25, 0.12, 0.06, 0.03]
SIGNS = [0.53, 0.56, 0.60, 0.70, 0.85]


def main() -> None:
    write("classification", answer(classification()))
    write("regression", answer(regression()))
    write("embedding", answer(embedding()))
    write("begun", answer(begun()))
    write("hostile", answer(hostile()))
    write("empty", answer())


# What is written ----------------------------------------------------------------------------------


def answer(*reports: dict) -> dict:
    return {"schema": "shadow.report/1", "reports": list(reports)}


def write(name: str, value: dict) -> None:
    (HERE / f"{name}.json").write_text(pretty(value) + "\n")


def pretty(value, indent: str = "") -> str:
    """JSON in which everything that fits stands on one line."""
    line = json.dumps(value, ensure_ascii=True)
    if len(line) + len(indent) <= 110 or not isinstance(value, dict | list):
        return line
    inner = indent + "  "
    if isinstance(value, dict):
        members = [f"{json.dumps(key)}: {pretty(member, inner)}" for key, member in value.items()]
    elif all(isinstance(item, list) for item in value):
        texts = [json.dumps(item) for item in value]
        members = [", ".join(texts[at : at + 6]) for at in range(0, len(texts), 6)]
    else:
        members = [pretty(item, inner) for item in value]
    opening, closing = "{}" if isinstance(value, dict) else "[]"
    return opening + ",".join(f"\n{inner}{member}" for member in members) + f"\n{indent}{closing}"


def digits(value: float, most: int = 4) -> float:
    return float(f"{value:.{most}g}")


def moment(time: datetime) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")


def digest(random: Random) -> str:
    return f"sha256:{random.getrandbits(256):064x}"


# Evidence -----------------------------------------------------------------------------------------


def mixture(terms: list[tuple[float, float]]) -> float:
    most = max(log for log, _ in terms)
    return most + math.log(sum(weight * math.exp(log - most) for log, weight in terms))


def too_many(n: int, k: float, limit: float) -> float:
    risks = [(min(limit * risk, 0.95), weight) for risk, weight in RISKS]
    return mixture(
        [(k * math.log(p / limit) + (n - k) * math.log((1 - p) / (1 - limit)), w) for p, w in risks]
    )


def few(n: int, k: float, prove: float) -> float:
    bets = [bet / (1 - prove) for bet in BETS]
    return mixture(
        [((n - k) * math.log(1 + b * prove) + k * math.log(1 + b * (prove - 1)), 1 / len(bets)) for b in bets]
    )


def slower(n: int, k: int) -> float:
    return mixture([(k * math.log(p * 2) + (n - k) * math.log((1 - p) * 2), 1 / len(SIGNS)) for p in SIGNS])


def interval(n: int, k: float) -> list[float]:
    """Wilson's with a wide z, which looks like one that holds at all times."""
    z = 3.0
    middle = (k + z * z / 2) / (n + z * z)
    half = z / (n + z * z) * math.sqrt(k * (n - k) / n + z * z / 4)
    return [digits(max(middle - half, 0.0)), digits(min(middle + half, 1.0))]


def gate(name: str, n: int, k: float, limit: float, prove: float | None, logs: tuple[float, float]) -> dict:
    log_fail, log_pass = logs
    bar = math.log(20)
    status = "failed" if log_fail >= bar else "passed" if log_pass >= bar else "open"
    told = {"name": name, "status": status, "pairs": n, "count": digits(k), "estimate": digits(k / n)}
    told |= {"limit": limit} | ({"prove": prove} if prove else {})
    told |= {"interval": interval(n, k), "log_pass": digits(log_pass), "log_fail": digits(log_fail)}
    if status == "open" and log_pass > 0:
        told["needs"] = math.ceil((bar - log_pass) / (log_pass / n))
    return told


def gates(n: int, failed: int, slow: int, output: str, differs: float, limits=(0.10, 0.15)) -> list[dict]:
    limit, prove = limits
    return [
        gate("errors", n, failed, 0.001, 0.02, (too_many(n, failed, 0.001), few(n, failed, 0.02))),
        gate("latency", n, slow, 0.5, 0.5, (slower(n, slow), slower(n, n - slow))),
        gate(f"outputs.{output}", n, differs, limit, prove, (too_many(n, differs, limit), few(n, differs, prove))),
    ]


def together(judged: list[dict]) -> tuple[float, float]:
    weights = (0.15, 0.25, 0.25)
    terms = [(gate["log_fail"], weight / sum(weights)) for gate, weight in zip(judged, weights, strict=True)]
    return digits(mixture(terms)), digits(min(gate["log_pass"] for gate in judged))


def verdict(decision: str, reason: str, judged: list[dict]) -> dict:
    log_fail, log_pass = together(judged)
    evidence = {"log_fail": log_fail, "log_pass": log_pass, "alpha": 0.05, "beta": 0.05}
    return {"decision": decision, "reason": reason} | evidence | {"gates": judged}


def course(pairs: list[dict], output: str, points: int = 120, limits=(0.10, 0.15)) -> list[dict]:
    """The evidence as it grew."""
    told, failed, slow, differs = [], 0, 0, 0.0
    looks = {round(len(pairs) * (at + 1) / points) for at in range(points)}
    for n, pair in enumerate(pairs, 1):
        failed, slow, differs = failed + pair["failed"], slow + pair["slow"], differs + pair["differs"]
        if n in looks:
            log_fail, log_pass = together(gates(n, failed, slow, output, differs, limits))
            lower, upper = interval(n, differs)
            point = {"pairs": n, "log_fail": log_fail, "log_pass": log_pass}
            told.append(point | {"estimate": digits(differs / n), "lower": lower, "upper": upper})
    return told


def judged(pairs: list[dict], output: str, limits=(0.10, 0.15)) -> list[dict]:
    total = {key: sum(pair[key] for pair in pairs) for key in ("failed", "slow", "differs")}
    return gates(len(pairs), total["failed"], total["slow"], output, total["differs"], limits)


# Summaries ----------------------------------------------------------------------------------------


def quantile(values: list[float], share: float) -> float:
    values = sorted(values)
    return digits(values[min(int(share * len(values)), len(values) - 1)])


def spread(values: list[float], *percents: int) -> dict:
    return {f"p{percent}": quantile(values, percent / 100) for percent in percents}


def ecdf(values: list[float], points: int = 64) -> list[list[float]]:
    values = sorted(values)
    at = sorted({round((len(values) - 1) * point / (points - 1)) for point in range(points)})
    shares = {digits(values[i], 5): digits(bisect_right(values, values[i]) / len(values)) for i in at}
    return [[value, share] for value, share in shares.items()]


def portion(k: int, n: int) -> dict:
    return {"n": n, "k": k, "rate": digits(k / n)}


def hours(random: Random, pairs: list[dict], rate: float, dip: int | None = None) -> list[dict]:
    """Traffic that comes and goes with the day; in the hour of the dip the versions agree less."""
    count = max(pair["hour"] for pair in pairs) + 1
    executed = Counter(pair["hour"] for pair in pairs)
    agreed = Counter(pair["hour"] for pair in pairs if pair["differs"] <= pair.get("tolerance", 0))
    told = []
    for hour in range(count):
        dropped = random.randrange(4) if hour != dip else 9
        sampled = executed[hour] + dropped
        moments = {"hour": moment(BEGIN + timedelta(hours=hour)), "eligible": round(sampled / rate)}
        counts = {"sampled": sampled, "executed": executed[hour], "dropped": dropped, "agreed": agreed[hour]}
        told.append(moments | counts)
    return told


def sampling(random: Random, pairs: list[dict], rate: float, reasons: dict, dip: int | None = None) -> dict:
    by_hour = hours(random, pairs, rate, dip)
    dropped = sum(hour["dropped"] for hour in by_hour)
    first = next(iter(reasons))
    reasons = reasons | {first: dropped - sum(reasons.values())}
    totals = {key: sum(hour[key] for hour in by_hour) for key in ("eligible", "sampled", "executed")}
    shares = [(1024, 0.55, 0.2), (16384, 0.33, 0.3), (262144, 0.10, 0.2), (None, 0.02, 0.3)]
    by_size = []
    for up_to, of_executed, of_dropped in shares:
        counts = {"executed": round(totals["executed"] * of_executed), "dropped": round(dropped * of_dropped)}
        by_size.append({"up_to": up_to, "sampled": sum(counts.values())} | counts)
    return {"rate": rate} | totals | {"dropped": reasons, "by_hour": by_hour, "by_size": by_size}


def latency(pairs: list[dict]) -> dict:
    ratios = [math.log(pair["candidate_ms"] / pair["stable_ms"]) for pair in pairs]
    percents = (50, 95, 99)
    return {
        "pairs": len(pairs),
        "log_ratio": spread(ratios, 5, 50, 95, 99),
        "stable_ms": spread([pair["stable_ms"] for pair in pairs], *percents),
        "candidate_ms": spread([pair["candidate_ms"] for pair in pairs], *percents),
        "ecdf": ecdf(ratios),
    }


def times(random: Random, slower_by: float, own: float = 0.35) -> dict:
    shared = random.gauss(math.log(6), 0.5)
    stable, candidate = (math.exp(shared + random.gauss(0, own)) for _ in range(2))
    candidate *= slower_by
    slow = candidate > 1.25 * stable and candidate - stable > 1
    return {"stable_ms": stable, "candidate_ms": candidate, "slow": int(slow)}


def hour_of(random: Random, count: int) -> int:
    weights = [1.2 + math.sin((hour - 5) / 24 * 2 * math.pi) for hour in range(count)]
    return random.choices(range(count), weights)[0]


def head(random: Random, model: str, rollout: str, **others: str) -> dict:
    told = {"model": model, "rollout": rollout, "strategy": "shadow", "change": "retrained", "phase": "shadowing"}
    told |= others | {"started": moment(BEGIN - timedelta(minutes=2)), "since": moment(BEGIN)}
    labels = ("1", "2") if "labels" not in told else tuple(told.pop("labels").split())
    stable, candidate = ({"version": label, "digest": digest(random)} for label in labels)
    return told | {"stable": stable, "candidate": candidate}


# The rollouts -------------------------------------------------------------------------------------

TOPICS = ["account", "billing", "other", "returns", "shipping", "technical"]


def classification() -> dict:
    """A retrained classifier: faster to prove in its outputs than in its latency."""
    random = Random(7)
    pairs = [topic_pair(random) for _ in range(1180)]
    for pair in pairs:
        if pair["hour"] == 17 and random.random() < 0.12 and pair["from"] == pair["to"]:
            pair |= {"to": "other", "differs": 1, "margin": random.uniform(0.05, 0.5)}
    flips = [pair for pair in pairs if pair["differs"]]
    rows, output = len(pairs), "probabilities"
    states = judged(pairs, output)
    needs = next(state["needs"] for state in states if state["status"] == "open")
    transitions = Counter((pair["from"], pair["to"]) for pair in pairs)
    label = {"name": "label", "kind": "class-label", "dtype": "string", "shape": ["N"], "rows": rows}
    label["metrics"] = {"flips": portion(len(flips), rows), "nan": {"stable": 0, "candidate": 0}}
    return head(random, "ticket-router", "r-000002", labels="2026-08-12 2026-08-30") | {
        "verdict": verdict("inconclusive", f"latency needs about {needs} more pairs (3 h)", states),
        "sampling": sampling(random, pairs, 0.1, {"queue_full": 0, "bytes": 0, "stale": 12, "budget": 7, "size": 0}, 17),
        "interference": {"blocks": 402, "slowdown_upper95": 0.015, "slowdown_p99_upper95": 0.1, "needs": None, "e": 0.02, "backed_off": 0},
        "noise": {"pairs": 1104, "bit_identical": False, "flip_rate": 0.0, "max_abs_p999": 2.4e-7},
        "evidence": course(pairs, output),
        "outputs": [label, probabilities(random, pairs, transitions, flips)],
        "latency": latency(pairs),
        "errors": {"candidate_only": 0, "stable_only": 1, "both": 3, "timeouts": 1},
        "contract": [],
        "slices": slices(random, pairs),
        "worst": [worst_topic(random, number, pair) for number, pair in enumerate(worst_first(flips)[:24])],
    }


def topic_pair(random: Random) -> dict:
    stable = random.choices(TOPICS, [18, 25, 9, 14, 22, 12])[0]
    margin = min(random.betavariate(1.6, 1.1), 0.999)
    flips = random.random() < 0.30 * (1 - margin) ** 3
    near = {"other": ["technical", "account"], "returns": ["shipping", "billing"], "billing": ["account"]}
    to = random.choice(near.get(stable, TOPICS)) if flips else stable
    top = (1 + margin) / 2
    moved = max(min(top + random.gauss(0, 0.02) + (0.01 if stable == "billing" else 0), 0.9999), 0.2)
    pair = {"from": stable, "to": to, "margin": margin, "top": top, "moved": moved, "differs": int(to != stable)}
    return pair | {"failed": 0, "hour": hour_of(random, 26)} | times(random, 1.205)


def probabilities(random: Random, pairs: list[dict], transitions: Counter, flips: list[dict]) -> dict:
    rows = len(pairs)
    moves = [abs(pair["moved"] - pair["top"]) + 1e-6 for pair in pairs]
    share = lambda key, topic: digits(sum(pair[key] == topic for pair in pairs) / rows)  # noqa: E731
    margins = []
    for tenth in range(10):
        inside = [pair for pair in pairs if tenth <= pair["margin"] * 10 < tenth + 1]
        k = sum(pair["differs"] for pair in inside)
        margins.append({"up_to": (tenth + 1) / 10, "n": len(inside), "k": k})
    drawn = random.sample(pairs, 200)
    return {
        "name": "probabilities",
        "kind": "class-probabilities",
        "dtype": "f32",
        "shape": ["N", len(TOPICS)],
        "rows": rows,
        "metrics": {
            "flips": portion(len(flips), rows),
            "confident_flips": {"k": sum(pair["margin"] > 0.6 for pair in flips)},
            "within_tolerance": portion(sum(move < 0.05 for move in moves), rows),
            "max_abs": digits(max(moves)),
            "mean_abs": digits(sum(moves) / rows),
            "abs": spread(moves, 50, 90, 99),
            "rel_l2": spread([move * 1.3 for move in moves], 50, 99),
            "top5_overlap": {"p1": 0.6667, "p50": 1.0, "mean": 0.9871},
            "js": spread([move * move / 2 for move in moves], 50, 99),
            "confidence_shift": {"mean": digits(sum(p["moved"] - p["top"] for p in pairs) / rows)},
            "nan": {"stable": 0, "candidate": 0},
        },
        "transitions": [{"from": a, "to": b, "k": k} for (a, b), k in transitions.most_common(50)],
        "class_share": [
            {"class": topic, "stable": share("from", topic), "candidate": share("to", topic)} for topic in TOPICS
        ],
        "margins": margins,
        "scatter": [[digits(pair["top"]), digits(pair["moved"])] for pair in drawn],
        "ecdf": {"abs": ecdf(moves), "noise": ecdf([random.lognormvariate(-16.5, 0.8) for _ in range(400)])},
    }


def slices(random: Random, pairs: list[dict]) -> list[dict]:
    keys = [(f"output:label={topic}", [p for p in pairs if p["from"] == topic]) for topic in TOPICS]
    keys += [(f"rows:{rows}", random.sample(pairs, size)) for rows, size in (("1", 900), ("2-8", 220), ("9+", 60))]
    keys += [(f"hour:{hour:02}", [p for p in pairs if (p["hour"] + 2) % 24 == hour]) for hour in (3, 9, 15, 19, 21)]
    told = []
    for key, some in keys:
        k = sum(pair["differs"] for pair in some)
        evidence = digits(too_many(len(some), k, 0.10))
        told.append({"key": key, "pairs": len(some), "rate": digits(k / len(some)), "log_evidence": evidence})
    return told


def worst_first(flips: list[dict]) -> list[dict]:
    return sorted(flips, key=lambda pair: -pair["margin"])


def worst_topic(random: Random, number: int, pair: dict) -> dict:
    at = BEGIN + timedelta(hours=pair["hour"], seconds=random.randrange(3600))
    request = random.randrange(100, 12000)
    after = random.uniform(0.4, 0.9)
    return {
        "id": f"s-{number + 1:06}",
        "output": "probabilities",
        "metric": "flip",
        "score": digits(pair["margin"]),
        "at": moment(at),
        "request_number": request,
        "stable": f"{pair['from']} ({pair['top']:.2f})",
        "candidate": f"{pair['to']} ({after:.2f})",
        "has_inputs": number % 7 != 5,
    }


def regression() -> dict:
    """A regression that drifts away where values are large, and fails for it."""
    random = Random(11)
    pairs = []
    for _ in range(640):
        stable = random.gammavariate(6, 7)
        candidate = stable + random.gauss(0.2, 0.8) + max(stable - 45, 0) * 0.22
        pair = {"stable": stable, "candidate": candidate, "differs": int(abs(candidate - stable) > 3.1)}
        pairs.append(pair | {"failed": 0, "hour": hour_of(random, 3)} | times(random, 0.82))
    rows, output = len(pairs), "minutes"
    states = judged(pairs, output)
    gaps = [pair["candidate"] - pair["stable"] for pair in pairs]
    sizes = [abs(gap) for gap in gaps]
    noise = [0.0] * 300 + [random.lognormvariate(-9, 0.7) for _ in range(200)]
    within = sum(size <= 3.1 for size in sizes)
    drawn = random.sample(pairs, 200)
    by_gap = sorted(pairs, key=lambda pair: -abs(pair["candidate"] - pair["stable"]))
    estimate = states[2]["estimate"]
    return head(random, "delivery-time", "r-000007", phase="rolled-back") | {
        "verdict": verdict("fail", f"outputs.minutes: {100 * estimate:.1f} % of rows differ, the limit is 10 %", states),
        "sampling": sampling(random, pairs, 0.5, {"queue_full": 0, "bytes": 0, "stale": 0, "budget": 0, "size": 0}),
        "interference": {"blocks": 61, "slowdown_upper95": 0.3, "slowdown_p99_upper95": None, "needs": 240, "e": 0.7, "backed_off": 1},
        "noise": {"pairs": 500, "bit_identical": False, "flip_rate": 0.0, "max_abs_p999": digits(max(noise))},
        "evidence": course(pairs, output, 80),
        "outputs": [
            {
                "name": output,
                "kind": "regression",
                "dtype": "f32",
                "shape": ["N", 1],
                "rows": rows,
                "metrics": {
                    "within_tolerance": portion(within, rows),
                    "max_abs": digits(max(sizes)),
                    "mean_abs": digits(sum(sizes) / rows),
                    "max_rel": digits(max(size / pair["stable"] for size, pair in zip(sizes, pairs, strict=True))),
                    "bias": digits(sum(gaps) / rows),
                    "rmse": digits(math.sqrt(sum(gap * gap for gap in gaps) / rows)),
                    "abs": spread(sizes, 50, 90, 99),
                    "nan": {"stable": 0, "candidate": 0},
                },
                "scatter": [[digits(pair["stable"]), digits(pair["candidate"])] for pair in drawn],
                "ecdf": {"abs": ecdf(sizes), "noise": ecdf(noise)},
            }
        ],
        "latency": latency(pairs),
        "errors": {"candidate_only": 0, "stable_only": 0, "both": 0, "timeouts": 0},
        "contract": [],
        "slices": [
            {"key": "output:minutes>=45", "pairs": 214, "rate": 0.5234, "log_evidence": 96.2},
            {"key": "output:minutes<45", "pairs": 426, "rate": 0.0047, "log_evidence": -31.5},
        ],
        "worst": [
            {
                "id": f"s-{number + 1:06}",
                "output": output,
                "metric": "abs",
                "score": digits(abs(pair["candidate"] - pair["stable"])),
                "at": moment(BEGIN + timedelta(hours=pair["hour"], seconds=random.randrange(3600))),
                "request_number": random.randrange(100, 1300),
                "stable": f"{pair['stable']:.2f}",
                "candidate": f"{pair['candidate']:.2f}",
                "has_inputs": True,
            }
            for number, pair in enumerate(by_gap[:6])
        ],
    }


def embedding() -> dict:
    """The same network in another format: equivalent, and proven so."""
    random = Random(13)
    limits = (0.005, 0.02)
    pairs = []
    for _ in range(2400):
        angle = abs(random.gauss(0, 0.008))
        pair = {"cosine": math.cos(angle), "differs": (1 - math.cos(angle)) / 2, "failed": 0, "tolerance": 1.2e-4}
        pairs.append(pair | {"hour": hour_of(random, 12)} | times(random, 0.7))
    states = judged(pairs, "vector", limits)
    cosines = [pair["cosine"] for pair in pairs]
    return head(random, "phrase-vectors", "r-000011", change="equivalent", phase="canary", strategy="canary") | {
        "verdict": verdict("pass", "every gate has passed", states),
        "sampling": sampling(random, pairs, 0.25, {"queue_full": 0, "bytes": 3, "stale": 0, "budget": 2, "size": 1}),
        "noise": {"pairs": 2400, "bit_identical": True, "flip_rate": 0.0, "max_abs_p999": 0.0},
        "evidence": course(pairs, "vector", 100, limits),
        "outputs": [
            {
                "name": "vector",
                "kind": "embedding",
                "dtype": "f32",
                "shape": ["N", 384],
                "rows": len(pairs),
                "metrics": {
                    "max_abs": 0.0021,
                    "mean_abs": 0.00031,
                    "rel_l2": spread([math.sqrt(2 - 2 * cosine) for cosine in cosines], 50, 99),
                    "cosine": {"p1": digits(sorted(cosines)[24], 7), "p50": digits(sorted(cosines)[1200], 7)},
                    "nan": {"stable": 0, "candidate": 0},
                },
                "ecdf": {"cosine": [[digits(value, 8), share] for value, share in fine_ecdf(cosines)]},
            }
        ],
        "latency": latency(pairs),
        "errors": {"candidate_only": 0, "stable_only": 0, "both": 0, "timeouts": 0},
    }


def fine_ecdf(values: list[float], points: int = 64) -> list[tuple[float, float]]:
    values = sorted(values)
    return [(values[at], digits((at + 1) / len(values))) for at in range(0, len(values), len(values) // points)][:points]


def begun() -> dict:
    """A rollout without a pair yet: nothing to draw."""
    random = Random(17)
    closed = {"status": "open", "pairs": 0, "count": 0, "estimate": 0.0, "log_pass": 0.0, "log_fail": 0.0}
    states = [{"name": "errors", "limit": 0.001, "prove": 0.02} | closed, {"name": "latency", "limit": 0.5} | closed]
    return head(random, "iris", "r-000001", strategy="canary", phase="loading") | {
        "verdict": verdict_without(states),
        "sampling": {"rate": 0.1, "eligible": 0, "sampled": 0, "executed": 0, "passed_over": 0, "dropped": {}, "by_hour": [], "by_size": []},
        "evidence": [],
        "outputs": [],
        "slices": [],
        "worst": [],
    }


def verdict_without(states: list[dict]) -> dict:
    evidence = {"log_fail": 0.0, "log_pass": 0.0, "alpha": 0.05, "beta": 0.01}
    return {"decision": "inconclusive", "reason": "no pairs yet"} | evidence | {"gates": states}


SCRIPT = "</script><img src=x onerror=\"window.broken='img'\">"
NAMES = [
    SCRIPT,
    "<svg/onload=window.broken='svg'>",
    "\"'><script>window.broken='script'</script>",
    "<!--<script>",
    "]]>&lt;b&gt;&amp;",
    "a\u2028b\u2029c\u202ed",
    "__proto__",
    "constructor",
    "'; touch broken #",
    "$(touch broken)`touch broken`",
    "wide" * 80,
]


def hostile() -> dict:
    """The classifier again, its words replaced by ones that mean harm."""
    report = json.loads(json.dumps(classification()))
    names = dict(zip(TOPICS, NAMES[:5] + NAMES[6:7], strict=True))
    report["verdict"] |= {"decision": "hold", "reason": SCRIPT + " " + NAMES[2]}
    report["verdict"]["gates"][2]["name"] = f"outputs.{NAMES[1]}"
    report |= {"model": NAMES[8] + SCRIPT, "rollout": NAMES[2]}
    report["stable"] = {"version": NAMES[9], "digest": "sha256:" + SCRIPT}
    report["candidate"] = {"version": "2/../" + NAMES[0], "digest": NAMES[10]}
    for output in report["outputs"]:
        output |= {"name": NAMES[1] + output["name"], "dtype": NAMES[3], "shape": [NAMES[4], 3]}
        for row in output.get("transitions", []):
            row |= {"from": names[row["from"]], "to": names[row["to"]]}
        for row in output.get("class_share", []):
            row["class"] = names[row["class"]]
    detail = f"stable {NAMES[0]}, candidate {NAMES[10]}"
    report["contract"] = [
        {"kind": "nan", "output": NAMES[0], "pairs": 3, "first": moment(BEGIN), "detail": NAMES[5]},
        {"kind": "dtype", "output": NAMES[7], "pairs": 1, "first": NAMES[2], "detail": detail},
    ]
    for row, name in zip(report["slices"], NAMES, strict=False):
        row["key"] = name
    for row, name in zip(report["worst"], NAMES, strict=False):
        row |= {"id": name, "output": name, "metric": name, "stable": name, "candidate": name, "has_inputs": True}
    report["worst"][0]["score"], report["worst"][1]["score"] = 1.7976931348623157e308, 5e-324
    return report


if __name__ == "__main__":
    main()
