// The metrics of an output, in words.

const spreadText = (text) => (values) =>
  [
    ["mean", "mean"],
    ["p1", "p1"],
    ["p5", "p5"],
    ["p50", "median"],
    ["p90", "p90"],
    ["p95", "p95"],
    ["p99", "p99"],
  ]
    .filter(([key]) => isNumber(values[key]))
    .map(([key, name]) => `${name}${SPACE}${text(values[key])}`)
    .join(" · ");
const portionText = ({ n, k, rate }) => `${percentText(rate)} · ${countText(k)} of ${countText(n)}`;
const signedNumber = (value) => signed(value, numberText);

/** Every metric with its words, in the order in which they are read. */
const METRICS = [
  ["flips", "Other class", portionText],
  ["confident_flips", "Other class, both sure", ({ k }) => plural(k, "row")],
  ["within_tolerance", "Within tolerance", portionText],
  ["bias", "Bias (mean difference)", signedNumber],
  ["rmse", "Root mean squared difference", (value) => numberText(value)],
  ["mean_abs", "Mean absolute difference", (value) => numberText(value)],
  ["abs", "Absolute difference", spreadText(numberText)],
  ["max_abs", "Largest absolute difference", (value) => numberText(value)],
  ["max_rel", "Largest relative difference", percentText],
  ["rel_l2", "Relative distance (L2)", spreadText(percentText)],
  ["cosine", "Cosine", spreadText(cosineText)],
  ["top5_overlap", "Overlap of the first five", spreadText(percentText)],
  ["js", "Jensen-Shannon divergence (nats)", spreadText(numberText)],
  ["confidence_shift", "Shift of confidence", spreadText(pointsText)],
  [
    "nan",
    "NaN or infinite values",
    ({ stable, candidate }) => `stable ${countText(stable)} · candidate ${countText(candidate)}`,
  ],
];

function metricsTable({ metrics = {} }) {
  const rows = METRICS.filter(([key]) => metrics[key] !== undefined && metrics[key] !== null).map(
    ([key, words, text]) => [words, text(metrics[key])],
  );
  if (rows.length === 0) return undefined;
  return table({
    name: "metrics",
    caption: "Metrics",
    columns: [{ name: "Metric" }, { name: "Candidate against stable" }],
    rows,
  });
}
