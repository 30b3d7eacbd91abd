// Classifications: which classes turn into which, and when.

/** As many classes as a figure can name. */
const MOST_CLASSES = 24;
const MOST_LETTERS = 16;

/** Classes in the order of their numbers, or else of their letters. */
function inOrder(names) {
  const distinct = [...new Set(names)];
  const areNumbers = distinct.every((name) => name !== "" && Number.isFinite(Number(name)));
  return distinct.sort(
    areNumbers ? (a, b) => Number(a) - Number(b) : (a, b) => a.localeCompare(b, "en"),
  );
}

function transitionsFigure({ transitions = [] }) {
  if (transitions.length === 0) return undefined;
  const classes = inOrder(transitions.flatMap(({ from, to }) => [from, to]));
  const rows = new Map();
  for (const { from, k } of transitions) rows.set(from, (rows.get(from) ?? 0) + k);
  const cells = transitions.map((cell) => ({
    ...cell,
    isChange: cell.from !== cell.to,
    share: rows.get(cell.from) > 0 ? cell.k / rows.get(cell.from) : 0,
  }));
  const changes = cells.filter((cell) => cell.isChange);
  const kept = cells.filter((cell) => !cell.isChange);
  const most = Math.max(...changes.map((cell) => cell.share), 1e-9);
  const moved = changes.reduce((sum, cell) => sum + cell.k, 0);
  const rarest = changes.reduce(
    (worst, cell) => (worst && worst.k >= cell.k ? worst : cell),
    undefined,
  );
  return figure({
    name: "transitions",
    title: "Classes, old to new",
    note: "Rows by stable's class and the candidate's. The darker a change, the greater its share of stable's class.",
    key: [
      ["area changed", "changed"],
      ["area kept", "unchanged"],
    ],
    says: `${plural(moved, "row")} changed their class${
      rarest
        ? `, most often from ${shortened(rarest.from, 40)} to ${shortened(rarest.to, 40)} (${countText(rarest.k)})`
        : ""
    }.`,
    draw: (width) => {
      const nameOfAxis = 16;
      const marginLeft = roomFor(classes, MOST_LETTERS, 0.34, width) + nameOfAxis;
      const size = Math.max(Math.min((width - marginLeft - 14) / classes.length, 64), 8);
      const isTurned = classes.some((name) => Math.min([...name].length, MOST_LETTERS) * 7 > size);
      const marginBottom = isTurned
        ? Math.min(roomFor(classes, MOST_LETTERS, 0.34, width) + 14, 130)
        : 40;
      const letters = Math.floor((marginLeft - nameOfAxis - 12) / 6.6);
      const short = (name) => shortened(name, Math.min(letters, MOST_LETTERS));
      return plot({
        width: Math.min(marginLeft + size * classes.length + 14, width),
        height: Math.min(size, 44) * classes.length + marginBottom + 22,
        marginLeft,
        marginBottom,
        x: {
          domain: classes,
          label: "candidate",
          tickFormat: short,
          tickRotate: isTurned ? -40 : 0,
          tickSize: 0,
          padding: 0.04,
        },
        y: { domain: classes, label: "stable", tickFormat: short, tickSize: 0, padding: 0.04 },
        marks: [
          Plot.cell(kept, {
            className: "kept",
            x: "to",
            y: "from",
            fill: COLORS.quiet,
            fillOpacity: 0.22,
            rx: 3,
          }),
          Plot.cell(changes, {
            className: "changed",
            x: "to",
            y: "from",
            fill: COLORS.changed,
            fillOpacity: { value: (cell) => 0.15 + 0.75 * (cell.share / most), scale: null },
            rx: 3,
          }),
          size >= 26
            ? Plot.text(cells, {
                x: "to",
                y: "from",
                text: (cell) => compactCount(cell.k),
                fill: "var(--ink)",
              })
            : undefined,
          tip(
            cells,
            "to",
            "from",
            (cell) =>
              `${shortened(cell.from, 40)} → ${shortened(cell.to, 40)}\n${plural(cell.k, "row")}, ${percentText(cell.share)} of stable's`,
          ),
        ],
      });
    },
  });
}

const compactCount = (count) =>
  count < 10000
    ? countText(count)
    : spelled(count, { notation: "compact", maximumSignificantDigits: 3 });

function classShareFigure({ class_share: shares = [] }) {
  if (shares.length === 0) return undefined;
  const change = (row) => row.candidate - row.stable;
  const shown = [...shares]
    .sort((a, b) => Math.abs(change(b)) - Math.abs(change(a)))
    .slice(0, MOST_CLASSES);
  const classes = inOrder(shown.map((row) => row.class));
  const leftOut = shares.length - shown.length;
  const most = shown[0];
  return figure({
    name: "class-share",
    title: "How often each class is given",
    note:
      "Classes that come and go in equal numbers leave these shares as they were." +
      (leftOut > 0 ? ` The ${shown.length} with the greatest change, of ${shares.length}.` : ""),
    key: [
      ["area stable", "stable"],
      ["area candidate", "candidate"],
    ],
    says: `The share of ${shortened(most.class, 40)} changed most, from ${percentText(most.stable)} to ${percentText(most.candidate)}.`,
    draw: (width) => {
      const marginLeft = roomFor(classes, MOST_LETTERS, 0.34, width);
      const letters = Math.floor((marginLeft - 12) / 6.6);
      const band = classes.length > 12 ? 24 : 34;
      const highest = Math.max(...shown.flatMap((row) => [row.stable, row.candidate]));
      return plot({
        width,
        height: classes.length * band + 58,
        marginLeft,
        marginRight: 64,
        x: {
          label: "share of rows",
          domain: [0, highest || 1],
          grid: true,
          ticks: ticksFor(width - marginLeft),
          tickFormat: percentText,
        },
        y: {
          domain: classes,
          label: null,
          tickFormat: (name) => shortened(name, Math.min(letters, MOST_LETTERS)),
          tickSize: 0,
          padding: 0.25,
        },
        marks: [
          Plot.barX(shown, {
            className: "stable",
            x: "stable",
            y: "class",
            fill: COLORS.stable,
            insetBottom: (band * 0.75) / 2,
          }),
          Plot.barX(shown, {
            className: "candidate",
            x: "candidate",
            y: "class",
            fill: COLORS.candidate,
            insetTop: (band * 0.75) / 2,
          }),
          Plot.text(shown, {
            y: "class",
            text: (row) => pointsText(change(row)),
            frameAnchor: "right",
            textAnchor: "start",
            dx: 6,
            fill: "var(--ink)",
          }),
        ],
      });
    },
  });
}

function marginsFigure({ margins = [] }) {
  let from = 0;
  const bins = [];
  for (const { up_to: upTo, n, k } of margins) {
    const [lower, upper] = n > 0 ? shareInterval(k, n) : [];
    bins.push({ from, upTo, n, k, rate: k / n, lower, upper });
    from = upTo;
  }
  const shown = bins.filter((bin) => bin.n > 0);
  if (shown.length === 0) return undefined;
  const worst = shown.reduce((a, b) => (b.rate > a.rate ? b : a));
  return figure({
    name: "margins",
    title: "Flips by stable's margin",
    note: "The margin is how far stable's first class was ahead of its second. Flips on the left are coin tosses, those on the right are changes of mind. Whiskers: 95 % of each bin alone.",
    says: `Flips are most frequent, ${percentText(worst.rate)}, at margins from ${numberText(worst.from)} to ${numberText(worst.upTo)}.`,
    draw: (width) =>
      plot({
        width,
        x: {
          label: "stable's margin",
          domain: [0, Math.max(...bins.map((bin) => bin.upTo))],
          ticks: ticksFor(width),
        },
        y: {
          label: "rows that flipped",
          domain: [0, Math.min(Math.max(...shown.map((bin) => bin.upper)) * 1.05, 1)],
          grid: true,
          ticks: 5,
          tickFormat: percentText,
        },
        marks: [
          Plot.rect(shown, {
            className: "bins",
            x1: "from",
            x2: "upTo",
            y1: 0,
            y2: "rate",
            fill: COLORS.changed,
            fillOpacity: 0.75,
            insetLeft: 1,
            insetRight: 1,
          }),
          Plot.ruleX(shown, {
            className: "whiskers",
            x: (bin) => (bin.from + bin.upTo) / 2,
            y1: "lower",
            y2: "upper",
            stroke: "var(--ink)",
          }),
          Plot.ruleY([0], { stroke: COLORS.line }),
          tipAlong(
            shown,
            (bin) => (bin.from + bin.upTo) / 2,
            "rate",
            (bin) =>
              `margin ${numberText(bin.from)} to ${numberText(bin.upTo)}\n${countText(bin.k)} of ${plural(bin.n, "row")}, ${percentText(bin.rate)}`,
          ),
        ],
      }),
  });
}
