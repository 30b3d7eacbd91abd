// How long the candidate takes, against stable.

function latencyFigure({ latency = {} }) {
  const points = (latency.ecdf ?? []).map(([log, share]) => [Math.exp(log), share]);
  if (points.length === 0) return undefined;
  const low = Math.min(points[0][0] / 1.05, 0.9);
  const high = Math.max(points.at(-1)[0] * 1.05, 1.1);
  const slower = 1 - (points.findLast(([ratio]) => ratio <= 1)?.[1] ?? 0);
  return figure({
    name: "latency",
    title: "Time of the candidate, relative to stable",
    note: "The share of pairs in which the candidate took at most so many times stable's time. Right of ×1 it is the slower one.",
    key: [["line candidate", `the candidate is slower in ${percentText(slower)} of pairs`]],
    says: `The candidate is slower in ${percentText(slower)} of pairs; in half of them it takes at most ${ratioText(valueAt(points, 0.5))}.`,
    draw: (width) =>
      plot({
        width,
        x: {
          label: "candidate's time / stable's time (logarithmic)",
          type: "log",
          domain: [low, high],
          ticks: ratioTicks(low, high, width),
          tickFormat: ratioText,
          grid: true,
        },
        y: { ...shareAxis(), label: "share of pairs" },
        marks: [
          Plot.ruleY([0], { stroke: COLORS.line }),
          Plot.ruleX([1], {
            className: "same",
            stroke: COLORS.quiet,
            strokeDasharray: "4 3",
            strokeWidth: 1.5,
          }),
          Plot.line([[low, 0], ...points, [high, points.at(-1)[1]]], {
            className: "candidate",
            stroke: COLORS.candidate,
            strokeWidth: 2.5,
            curve: "step-after",
          }),
          tipAlong(
            points,
            "0",
            "1",
            ([ratio, share]) => `${percentText(share)} of pairs: at most ${ratioText(ratio)}`,
          ),
        ],
      }),
  });
}

/** Round ratios that are far enough from each other. */
function ratioTicks(low, high, width) {
  const round = [
    0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.8, 0.9, 1, 1.1, 1.25, 1.5, 2, 3, 5, 10, 20, 50,
    100,
  ];
  const place = (ratio) => (Math.log(ratio / low) / Math.log(high / low)) * (width - 62);
  const ticks = [1];
  for (const ratio of round.filter((tick) => tick >= low && tick <= high)) {
    if (ticks.every((tick) => Math.abs(place(tick) - place(ratio)) > 42)) ticks.push(ratio);
  }
  return ticks;
}

function latencyTable({ latency = {} }) {
  const { stable_ms: stable = {}, candidate_ms: candidate = {}, log_ratio: ratio = {} } = latency;
  const rows = [
    ["p50", "median"],
    ["p95", "p95"],
    ["p99", "p99"],
  ]
    .filter(([key]) => isNumber(stable[key]) || isNumber(candidate[key]))
    .map(([key, name]) => [
      name,
      isNumber(stable[key]) ? millisecondsText(stable[key]) : "–",
      isNumber(candidate[key]) ? millisecondsText(candidate[key]) : "–",
      isNumber(ratio[key]) ? ratioText(Math.exp(ratio[key])) : "–",
    ]);
  if (rows.length === 0) return undefined;
  return table({
    name: "latency",
    caption: "Time of a run",
    note: `CPU time of the run alone, over ${plural(latency.pairs, "pair")}. The last column is taken within pairs, so it is not the ratio of the two before it.`,
    columns: [
      { name: "Quantile" },
      { name: "Stable", isNumber: true },
      { name: "Candidate", isNumber: true },
      { name: "Within pairs", isNumber: true },
    ],
    rows,
  });
}
