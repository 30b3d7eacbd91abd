// Numbers: the two versions' values against each other, and how far apart they are.

const isTopOne = (output) => output.kind === "class-probabilities";

const valueName = (output, role) =>
  isTopOne(output) ? `${role}'s highest probability` : `${role}'s value`;

function scatterFigure(output) {
  const points = output.scatter ?? [];
  if (points.length === 0) return undefined;
  const values = points.flat();
  const domain = padded(Math.min(...values), Math.max(...values));
  return figure({
    name: "scatter",
    title: "Candidate against stable",
    note: `A random sample of ${plural(points.length, "row")}. On the diagonal both say the same.`,
    key: [["dot candidate", "a row"]],
    says: `Candidate's values against stable's for ${plural(points.length, "row")}, from ${numberText(domain[0])} to ${numberText(domain[1])}.`,
    draw: (width) => {
      const side = Math.min(width, 520);
      return plot({
        width: side,
        height: side - 8,
        marginLeft: 54,
        x: {
          label: valueName(output, "stable"),
          domain,
          grid: true,
          ticks: 5,
          tickFormat: numberText,
        },
        y: {
          label: valueName(output, "candidate"),
          domain,
          grid: true,
          ticks: 5,
          tickFormat: numberText,
        },
        marks: [
          Plot.line(
            [
              [domain[0], domain[0]],
              [domain[1], domain[1]],
            ],
            { className: "diagonal", stroke: COLORS.quiet, strokeDasharray: "4 3" },
          ),
          Plot.dot(points, {
            className: "points",
            r: 3,
            fill: COLORS.candidate,
            fillOpacity: 0.55,
          }),
          tip(
            points,
            "0",
            "1",
            ([stable, candidate]) =>
              `stable ${numberText(stable, 5)}\ncandidate ${numberText(candidate, 5)}`,
          ),
        ],
      });
    },
  });
}

function residualsFigure(output) {
  const points = (output.scatter ?? []).map(([stable, candidate]) => [stable, candidate - stable]);
  if (points.length === 0) return undefined;
  const largest = Math.max(...points.map(([, gap]) => Math.abs(gap)));
  const above = points.filter(([, gap]) => gap > 0).length;
  return figure({
    name: "residuals",
    title: "Difference by value",
    note: "Candidate less stable, for the same rows. A slope or a curve is a bias; a cloud around 0 is noise.",
    key: [["dot candidate", "a row"]],
    says: `Differences of ${plural(points.length, "row")}: the largest is ${numberText(largest)}, ${percentText(above / points.length)} are above 0.`,
    draw: (width) =>
      plot({
        width,
        height: Math.max(Math.min(width, 520) * 0.62, 240),
        marginLeft: 60,
        x: {
          label: valueName(output, "stable"),
          grid: true,
          ticks: ticksFor(width),
          tickFormat: numberText,
          inset: 6,
        },
        y: {
          label: "difference",
          domain: largest > 0 ? [-largest * 1.08, largest * 1.08] : [-1, 1],
          grid: true,
          ticks: 6,
          tickFormat: (value) => (value === 0 ? "0" : numberText(value)),
        },
        marks: [
          Plot.ruleY([0], { className: "zero", stroke: COLORS.quiet, strokeDasharray: "4 3" }),
          Plot.dot(points, {
            className: "points",
            r: 3,
            fill: COLORS.candidate,
            fillOpacity: 0.55,
          }),
          tip(
            points,
            "0",
            "1",
            ([stable, gap]) =>
              `stable ${numberText(stable, 5)}\ndifference ${signed(gap, (size) => numberText(size, 5))}`,
          ),
        ],
      }),
  });
}

/** A range with some room at both ends, also where it is a single value. */
function padded(low, high) {
  const room = (high - low) * 0.03 || Math.abs(high) * 0.1 || 1;
  return [low - room, high + room];
}

function absoluteFigure({ ecdf = {} }) {
  const curves = [
    {
      role: "noise",
      name: "a version against itself",
      points: ecdf.noise ?? [],
      color: COLORS.noise,
      dashes: "5 3",
    },
    {
      role: "candidate",
      name: "candidate against stable",
      points: ecdf.abs ?? [],
      color: COLORS.candidate,
    },
  ].filter((curve) => curve.points.length > 0);
  const positive = curves
    .flatMap((curve) => curve.points.map(([value]) => value))
    .filter((value) => value > 0);
  // Where nothing differs there is no curve to see: the table says 0.
  if (!(ecdf.abs?.length > 0) || positive.length === 0) return undefined;
  const domain = [Math.min(...positive) / 1.5, Math.max(...positive) * 1.5];
  return figure({
    name: "ecdf-abs",
    title: "Absolute difference",
    note: `The share of rows that differ by no more than this. What lies left of the noise, or on it, is not the candidate's doing.${
      equalShare(ecdf.abs) > 0
        ? ` ${percentText(equalShare(ecdf.abs))} of rows are equal to the last bit.`
        : ""
    }`,
    key: curves.map((curve) => [`line ${curve.role}${curve.dashes ? " dashed" : ""}`, curve.name]),
    says: `Half of the rows differ by no more than ${numberText(valueAt(ecdf.abs, 0.5))}, all by no more than ${numberText(ecdf.abs.at(-1)[0])}.`,
    draw: (width) =>
      plot({
        width,
        x: {
          label: "absolute difference (logarithmic)",
          type: "log",
          domain,
          ticks: ticksFor(width) - 1,
          tickFormat: powerTick,
          grid: true,
        },
        y: shareAxis(),
        marks: [
          Plot.ruleY([0], { stroke: COLORS.line }),
          curves.map((curve) =>
            Plot.line(steps(curve.points, domain), {
              className: curve.role,
              stroke: curve.color,
              strokeWidth: 2.5,
              strokeDasharray: curve.dashes,
              curve: "step-after",
            }),
          ),
          tip(
            curves.flatMap((curve) => curve.points.filter(([value]) => value > 0)),
            "0",
            "1",
            ([value, share]) => `${percentText(share)} of rows: at most ${numberText(value)}`,
          ),
        ],
      }),
  });
}

const shareAxis = () => ({
  label: "share of rows",
  domain: [0, 1],
  grid: true,
  ticks: 5,
  tickFormat: percentText,
});

/** A curve on a logarithmic axis, which has no 0: it enters on the left with the share that is there already. */
function steps(points, [low, high]) {
  const equal = equalShare(points);
  const shown = points.filter(([value]) => value > 0);
  return [[low, equal], ...shown, [high, shown.at(-1)?.[1] ?? equal]];
}

const equalShare = (points) =>
  Math.max(0, ...points.filter(([value]) => value <= 0).map(([, share]) => share));

const valueAt = (points, share) => (points.find((point) => point[1] >= share) ?? points.at(-1))[0];

/** On a logarithmic axis only the powers of ten are named. */
const powerTick = (value) => {
  const power = Math.log10(value);
  return Math.abs(power - Math.round(power)) > 1e-9 ? "" : `10${raised(Math.round(power))}`;
};

function cosineFigure({ ecdf = {} }) {
  const points = ecdf.cosine ?? [];
  if (points.length === 0) return undefined;
  const [low] = points[0];
  const high = Math.max(points.at(-1)[0], low + 1e-9);
  return figure({
    name: "ecdf-cosine",
    title: "Cosine",
    note: "The share of rows whose angle has at most this cosine. 1 is the same direction; a tail on the left is where to look.",
    key: [["line candidate", "candidate against stable"]],
    says: `The lowest cosine is ${cosineText(low)}, half of the rows are at ${cosineText(valueAt(points, 0.5))} or above.`,
    draw: (width) =>
      plot({
        width,
        marginRight: 30,
        x: {
          label: "cosine",
          domain: [low, high],
          ticks: Math.max(Math.floor(width / 130), 2),
          tickFormat: cosineText,
          grid: true,
        },
        y: shareAxis(),
        marks: [
          Plot.ruleY([0], { stroke: COLORS.line }),
          Plot.line([[low, 0], ...points], {
            className: "candidate",
            stroke: COLORS.candidate,
            strokeWidth: 2.5,
            curve: "step-after",
          }),
          tipAlong(
            points,
            "0",
            "1",
            ([value, share]) => `${percentText(share)} of rows: at most ${cosineText(value)}`,
          ),
        ],
      }),
  });
}
