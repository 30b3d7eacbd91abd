// Requests that were drawn and never became pairs, and how much a version differs from itself.

/** Above this share of dropped requests a size class is not represented, and the outputs are not judged. */
const MOST_DROPPED = 0.2;

const DROP_REASONS = {
  queue_full: "too many were waiting",
  bytes: "too many bytes were waiting",
  stale: "waited for too long",
  budget: "no time to spend on it",
  size: "too large",
  disk: "no room on the disk",
  redacted: "an input is never written",
};

function dropReasonsFigure({ sampling = {} }) {
  const dropped = sampling.dropped ?? {};
  const reasons = Object.keys(dropped)
    .filter((reason) => dropped[reason] > 0)
    .map((reason) => ({
      words: Object.hasOwn(DROP_REASONS, reason) ? DROP_REASONS[reason] : reason,
      count: dropped[reason],
    }))
    .sort((a, b) => b.count - a.count);
  if (reasons.length === 0) return undefined;
  const all = reasons.reduce((sum, reason) => sum + reason.count, 0);
  const words = reasons.map((reason) => reason.words);
  return figure({
    name: "drops-reason",
    title: "Dropped, by reason",
    note: `${plural(all, "request")} that were drawn never ran, ${percentText(all / Math.max(sampling.sampled, 1))} of ${countText(sampling.sampled)}.`,
    says: `${plural(all, "request")} dropped: ${reasons.map((reason) => `${reason.words} ${countText(reason.count)}`).join(", ")}.`,
    draw: (width) => {
      const marginLeft = roomFor(words, 30, 0.55, width);
      return plot({
        width,
        height: reasons.length * 30 + 30,
        marginLeft,
        marginRight: 56,
        marginBottom: 10,
        x: { axis: null, domain: [0, reasons[0].count] },
        y: {
          domain: words,
          label: null,
          tickSize: 0,
          padding: 0.3,
          tickFormat: (word) => shortened(word, Math.floor(marginLeft / 6.6)),
        },
        marks: [
          Plot.barX(reasons, {
            className: "reasons",
            x: "count",
            y: "words",
            fill: COLORS.fail,
            fillOpacity: 0.8,
          }),
          Plot.text(reasons, {
            x: "count",
            y: "words",
            text: (reason) => countText(reason.count),
            textAnchor: "start",
            dx: 6,
            fill: "var(--ink)",
          }),
        ],
      });
    },
  });
}

function dropSizesFigure({ sampling = {} }) {
  let from = 0;
  const classes = [];
  for (const row of sampling.by_size ?? []) {
    const name = isNumber(row.up_to) ? `to ${bytesText(row.up_to)}` : `over ${bytesText(from)}`;
    if (row.sampled > 0) classes.push({ ...row, name, share: row.dropped / row.sampled });
    from = row.up_to;
  }
  if (classes.length === 0 || classes.every((row) => row.dropped === 0)) return undefined;
  const worst = classes.reduce((a, b) => (b.share > a.share ? b : a));
  const names = classes.map((row) => row.name);
  const high = Math.min(Math.max(worst.share * 1.15, MOST_DROPPED * 1.25), 1);
  return figure({
    name: "drops-size",
    title: "Dropped, by size of the request",
    note: `What is dropped is not compared. Where more than ${percentText(MOST_DROPPED)} of a size are missing, the outputs are not judged.`,
    says: `The size class ${worst.name} lost most: ${percentText(worst.share)}.`,
    draw: (width) => {
      const marginLeft = roomFor(names, 30, 0.4, width);
      return plot({
        width,
        height: classes.length * 30 + 58,
        marginLeft,
        marginRight: 56,
        x: {
          label: "share dropped",
          domain: [0, high],
          grid: true,
          ticks: ticksFor(width - marginLeft),
          tickFormat: percentText,
        },
        y: { domain: names, label: null, tickSize: 0, padding: 0.3 },
        marks: [
          Plot.barX(classes, {
            className: "sizes",
            x: "share",
            y: "name",
            fill: COLORS.fail,
            fillOpacity: 0.8,
          }),
          Plot.text(classes, {
            x: "share",
            y: "name",
            text: (row) => percentText(row.share),
            textAnchor: "start",
            dx: 6,
            fill: "var(--ink)",
          }),
          Plot.ruleX([MOST_DROPPED], {
            className: "threshold",
            stroke: "var(--ink)",
            strokeDasharray: "5 3",
          }),
          Plot.text([`at most ${percentText(MOST_DROPPED)}`], {
            x: [MOST_DROPPED],
            frameAnchor: "top",
            dy: -14,
            fill: "var(--ink)",
          }),
        ],
      });
    },
  });
}

function noiseTable({ noise }) {
  if (!noise || !(noise.pairs > 0)) return undefined;
  return table({
    name: "noise",
    caption: "Noise",
    note: "How much a version differs from itself: its live answer, perhaps from a batch, against its run in the pair. The candidate cannot be expected to differ by less.",
    columns: [{ name: "Of one version" }, { name: "Value", isNumber: true }],
    rows: [
      ["pairs with a live answer", countText(noise.pairs)],
      ["the same bit by bit", noise.bit_identical ? "all" : "not all"],
      isNumber(noise.flip_rate) && ["flips", percentText(noise.flip_rate)],
      isNumber(noise.max_abs_p999) && [
        "absolute difference, p99.9",
        numberText(noise.max_abs_p999),
      ],
    ].filter(Boolean),
  });
}
