// Kinds of requests: on which of them the versions differ.

function sortedSlices(slices) {
  const evidence = (slice) => (isNumber(slice.log_evidence) ? slice.log_evidence : -Infinity);
  return [...slices].sort((a, b) => evidence(b) - evidence(a));
}

function slicesTable({ slices = [] }) {
  if (slices.length === 0) return undefined;
  return table({
    name: "slices",
    caption: "Where they differ",
    note: "Those with the most evidence of too many differences come first. The more slices one looks at, the more of them stand out by chance.",
    columns: [
      { name: "Slice" },
      { name: "Pairs", isNumber: true },
      { name: "Differ", isNumber: true },
      { name: "Evidence", isNumber: true },
    ],
    rows: sortedSlices(slices).map((slice) => [
      breakable(slice.key),
      countText(slice.pairs),
      percentText(slice.rate),
      powerOfTen(slice.log_evidence),
    ]),
  });
}

/** The same slices as a picture: which of them stand out from the rest, given how few pairs they have. */
function slicesFigure({ slices = [], verdict = {} }) {
  const shown = sortedSlices(slices).filter((slice) => slice.pairs > 0);
  if (shown.length === 0) return undefined;
  const bars = shown.map((slice) => {
    const [lower, upper] = shareInterval(slice.rate * slice.pairs, slice.pairs);
    return { ...slice, lower, upper };
  });
  const gate = followedGate(verdict);
  const keys = bars.map((bar) => bar.key);
  const worst = bars.reduce((a, b) => (b.rate > a.rate ? b : a));
  const high = Math.min(Math.max(...bars.map((bar) => bar.upper), gate?.limit ?? 0) * 1.05, 1);
  return figure({
    name: "slices",
    title: "Share that differs, by slice",
    note: "Whiskers: 95 % of each slice alone. A small slice has long ones.",
    says: `The slice ${shortened(worst.key, 60)} differs most: ${percentText(worst.rate)} of ${plural(worst.pairs, "pair")}.`,
    draw: (width) => {
      const marginLeft = roomFor(keys, 30, 0.46, width);
      return plot({
        width,
        height: bars.length * 24 + 62,
        marginLeft,
        x: {
          label: "share of pairs that differ",
          domain: [0, high],
          grid: true,
          ticks: ticksFor(width - marginLeft),
          tickFormat: percentText,
        },
        y: {
          domain: keys,
          type: "point",
          label: null,
          tickSize: 0,
          tickFormat: (key) => endOf(key, Math.floor((marginLeft - 12) / 7)),
        },
        marks: [
          gate &&
            Plot.ruleX([gate.limit], {
              className: "threshold",
              stroke: COLORS.fail,
              strokeDasharray: "2 4",
              strokeWidth: 1.5,
            }),
          gate &&
            Plot.text([`limit ${percentText(gate.limit)}`], {
              x: [gate.limit],
              frameAnchor: "top",
              dy: -14,
              fill: COLORS.fail,
            }),
          Plot.ruleY(bars, {
            className: "whiskers",
            y: "key",
            x1: "lower",
            x2: "upper",
            stroke: COLORS.candidate,
            strokeOpacity: 0.55,
            strokeWidth: 2,
          }),
          Plot.dot(bars, {
            className: "slices",
            y: "key",
            x: "rate",
            r: 4,
            fill: COLORS.candidate,
          }),
          tip(
            bars,
            "rate",
            "key",
            (bar) =>
              `${shortened(bar.key, 40)}\n${percentText(bar.rate)} of ${plural(bar.pairs, "pair")}\n${percentText(bar.lower)} to ${percentText(bar.upper)}`,
          ),
        ],
      });
    },
  });
}
