// What is judged: the gates, and how the evidence grew.

/** Evidence below this is not worth the room: it says no more than "nothing yet". */
const LEAST_EVIDENCE = -2;
/** Evidence of this many times what is needed need not be seen to grow further. */
const ENOUGH_EVIDENCE = 4;

function gatesTable({ gates = [], alpha, beta }) {
  if (gates.length === 0) return undefined;
  const toFail = countText(1 / alpha);
  const toPass = countText(1 / beta);
  return table({
    name: "gates",
    caption: "Gates",
    note: `All must pass. A gate passes when its evidence for the candidate reaches ${toPass}; the candidate fails when the evidence against it, that of all gates together, reaches ${toFail}. (${toPass} is 10 to the power of ${evidenceText(-Math.log(beta))}.)`,
    stacks: true,
    columns: [
      { name: "Gate" },
      { name: "Status" },
      { name: "Estimate", isNumber: true },
      { name: "95 % interval", isNumber: true },
      { name: "Fails above", isNumber: true },
      { name: "Passes below", isNumber: true },
      { name: "Pairs", isNumber: true },
      { name: "Evidence for", isNumber: true },
      { name: "Evidence against", isNumber: true },
      { name: "Still needs", isNumber: true },
    ],
    rows: gates.map((gate) => [
      breakable(gate.name),
      badge(gate.status),
      isNumber(gate.estimate) ? percentText(gate.estimate) : "–",
      gate.interval ? gate.interval.map(percentText).join(" to ") : "–",
      percentText(gate.limit),
      isNumber(gate.prove) ? percentText(gate.prove) : "–",
      seenText(gate),
      powerOfTen(gate.log_pass),
      powerOfTen(gate.log_fail),
      isNumber(gate.needs) && gate.status === "open"
        ? `about ${plural(gate.needs, gate.live ? "request" : "pair")}`
        : "–",
    ]),
  });
}

/** How many pairs, or live requests, a gate has seen, and how many of them speak against the candidate. */
function seenText({ count, pairs, live }) {
  const seen = live ? live.candidate.requests : pairs;
  if (!(seen > 0)) return "none yet";
  return `${numberText(count)} of ${countText(seen)}${live ? " requests" : ""}`;
}

const powerOfTen = (log) => (isNumber(log) ? ["10", element("sup", {}, evidenceText(log))] : "–");

function evidenceFigure({ evidence = [], verdict }) {
  if (evidence.length === 0) return undefined;
  const toFail = Math.log10(1 / verdict.alpha);
  const toPass = Math.log10(1 / verdict.beta);
  const against = evidence.map((point) => [point.pairs, point.log_fail / LN10]);
  const towards = evidence.map((point) => [point.pairs, point.log_pass / LN10]);
  const all = [...against, ...towards].map(([, value]) => value);
  const most = Math.max(toFail, toPass);
  const low = Math.max(Math.min(...all, -0.5), LEAST_EVIDENCE);
  const high = Math.max(most * 1.25, Math.min(Math.max(...all) * 1.05, most * ENOUGH_EVIDENCE));
  const last = evidence.at(-1);
  return figure({
    name: "evidence",
    title: "Evidence",
    note: "How many times better the pairs fit a bad candidate (against it) or a good one (for it), as a power of ten. A curve that crosses its dashed line decides.",
    key: [
      ["line pass", `for the candidate, now ${evidenceText(last.log_pass)}`],
      ["line fail dashed", `against it, now ${evidenceText(last.log_fail)}`],
    ],
    says: `Evidence over ${plural(last.pairs, "pair")}: for the candidate 10 to the power of ${evidenceText(last.log_pass)}, against it ${evidenceText(last.log_fail)}; it passes at ${numberText(toPass)} and fails at ${numberText(toFail)}.`,
    draw: (width) =>
      plot({
        width,
        x: { label: "pairs", ticks: ticksFor(width), tickFormat: countText },
        y: { label: "log₁₀ E", domain: [low, high], grid: true, ticks: 6 },
        marks: [
          Plot.ruleY([0], { stroke: COLORS.line }),
          Plot.line(towards, {
            className: "for",
            stroke: COLORS.pass,
            strokeWidth: 2.5,
            clip: true,
          }),
          Plot.line(against, {
            className: "against",
            stroke: COLORS.fail,
            strokeWidth: 2.5,
            strokeDasharray: "7 3",
            clip: true,
          }),
          threshold(toPass, `passes at 1/β = ${countText(1 / verdict.beta)}`, COLORS.pass, {
            side: "left",
          }),
          threshold(toFail, `fails at 1/α = ${countText(1 / verdict.alpha)}`, COLORS.fail, {
            dashes: "2 4",
          }),
          Plot.ruleX(evidence, Plot.pointerX({ x: "pairs", stroke: COLORS.quiet })),
          tipAlong(
            evidence,
            "pairs",
            () => high,
            (point) =>
              `${plural(point.pairs, "pair")}\nfor: ${evidenceText(point.log_pass)}\nagainst: ${evidenceText(point.log_fail)}`,
          ),
        ],
      }),
  });
}

/** The gate whose estimate the evidence tells. */
const followedGate = ({ gates = [] }) =>
  gates.find((gate) => String(gate.name).startsWith("outputs.")) ??
  gates.find((gate) => !gate.live);

function estimateFigure({ evidence = [], verdict }) {
  const points = evidence.filter((point) => isNumber(point.estimate));
  if (points.length === 0) return undefined;
  const gate = followedGate(verdict);
  const last = points.at(-1);
  const bars = [gate?.limit, gate?.prove].filter(isNumber);
  // The first intervals reach over everything; the later ones are what is looked at.
  const later = points.slice(Math.floor(points.length / 4));
  const shown = [...bars, ...later.map((point) => point.upper ?? point.estimate)];
  const high = Math.min(Math.max(...shown) * 1.2, 1) || 0.01;
  const banded = points.filter((point) => isNumber(point.lower) && isNumber(point.upper));
  return figure({
    name: "estimate",
    title: gate ? `Estimate of ${shortened(gate.name, 40)}` : "Estimate",
    note: "The share of pairs that speak against the candidate, with an interval that holds at all times together, however often one looks.",
    key: [
      ["line candidate", `estimate, now ${percentText(last.estimate)}`],
      ["area candidate", "95 % interval"],
    ],
    says: `Estimate after ${plural(last.pairs, "pair")}: ${percentText(last.estimate)}${
      isNumber(last.lower) && isNumber(last.upper)
        ? `, between ${percentText(last.lower)} and ${percentText(last.upper)}`
        : ""
    }${gate ? `; the limit is ${percentText(gate.limit)}` : ""}.`,
    draw: (width) =>
      plot({
        width,
        x: { label: "pairs", ticks: ticksFor(width), tickFormat: countText },
        y: { label: "share", domain: [0, high], grid: true, ticks: 5, tickFormat: percentText },
        marks: [
          Plot.areaY(banded, {
            className: "band",
            x: "pairs",
            y1: "lower",
            y2: "upper",
            fill: COLORS.candidate,
            fillOpacity: 0.22,
            clip: true,
          }),
          Plot.line(points, {
            className: "value",
            x: "pairs",
            y: "estimate",
            stroke: COLORS.candidate,
            strokeWidth: 2.5,
            clip: true,
          }),
          gate &&
            threshold(gate.limit, `fails above ${percentText(gate.limit)}`, COLORS.fail, {
              dashes: "2 4",
            }),
          gate && isNumber(gate.prove) && gate.prove !== gate.limit
            ? threshold(gate.prove, `passes below ${percentText(gate.prove)}`, COLORS.pass)
            : undefined,
          Plot.ruleY([0], { stroke: COLORS.line }),
          Plot.ruleX(points, Plot.pointerX({ x: "pairs", stroke: COLORS.quiet })),
          tipAlong(
            points,
            "pairs",
            () => high,
            (point) =>
              `${plural(point.pairs, "pair")}\n${percentText(point.estimate)}` +
              (isNumber(point.lower)
                ? `\n${percentText(point.lower)} to ${percentText(point.upper)}`
                : ""),
          ),
        ],
      }),
  });
}

/** As many as do not touch each other. */
const ticksFor = (width) => Math.max(3, Math.min(Math.floor(width / 90), 8));
