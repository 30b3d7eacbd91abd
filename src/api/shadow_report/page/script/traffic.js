// How the versions agree, hour by hour.

const HOUR = 3600 * 1000;

function agreementFigure({ sampling = {} }) {
  const hours = (sampling.by_hour ?? [])
    .map((hour) => ({ ...hour, begin: new Date(hour.hour) }))
    .filter((hour) => !Number.isNaN(hour.begin.getTime()) && hour.executed > 0)
    .map((hour) => {
      const [lower, upper] = shareInterval(hour.agreed, hour.executed);
      const end = new Date(hour.begin.getTime() + HOUR);
      const middle = new Date(hour.begin.getTime() + HOUR / 2);
      return { ...hour, end, middle, share: hour.agreed / hour.executed, lower, upper };
    });
  if (hours.length === 0) return undefined;
  const worst = hours.reduce((a, b) => (b.share < a.share ? b : a));
  const words = (hour) =>
    `${timeText(hour.hour)}\n${percentText(hour.share)} of ${plural(hour.executed, "pair")} agree\n${plural(hour.eligible, "request")}, ${countText(hour.dropped)} dropped`;
  return figure({
    name: "agreement",
    title: "Agreement by hour",
    note: "Above, the share of pairs that agree, with 95 % whiskers for each hour alone; below, the pairs of that hour.",
    key: [
      ["dot candidate", "pairs that agree"],
      ["area quiet", "pairs compared"],
      ["area fail", "dropped"],
    ],
    says: `Agreement over ${plural(hours.length, "hour")}: lowest with ${percentText(worst.share)} in the hour from ${timeText(worst.hour)}.`,
    draw: (width) => {
      const x = {
        type: "utc",
        domain: [hours[0].begin, hours.at(-1).end],
        ticks: hourTicks(hours[0].begin, hours.at(-1).end, Math.max(Math.floor(width / 90), 2)),
      };
      // Hours with few pairs have whiskers that reach far; they may leave the plot, the shares may not.
      const low = Math.max(Math.floor((worst.share - 0.03) * 20) / 20, 0);
      return [
        plot({
          width,
          marginRight: 24,
          height: 170,
          marginBottom: 8,
          x: { ...x, axis: null },
          y: { label: "agree", domain: [low, 1], grid: true, ticks: 4, tickFormat: percentText },
          marks: [
            Plot.ruleX(hours, {
              className: "whiskers",
              x: "middle",
              y1: "lower",
              y2: "upper",
              stroke: COLORS.candidate,
              strokeOpacity: 0.5,
              strokeWidth: 1.5,
              clip: true,
            }),
            Plot.line(hours, {
              className: "line",
              x: "middle",
              y: "share",
              stroke: COLORS.candidate,
              strokeOpacity: 0.6,
            }),
            Plot.dot(hours, {
              className: "hours",
              x: "middle",
              y: "share",
              r: 3.5,
              fill: COLORS.candidate,
            }),
            tipAlong(hours, "middle", "share", words),
          ],
        }),
        plot({
          width,
          marginRight: 24,
          height: 136,
          marginBottom: 50,
          x: { ...x, label: "UTC", tickFormat: hourTick },
          y: { label: "pairs", grid: true, ticks: 3, tickFormat: compactCount },
          marks: [
            Plot.rect(hours, {
              className: "executed",
              x1: "begin",
              x2: "end",
              y1: 0,
              y2: "executed",
              fill: COLORS.quiet,
              fillOpacity: 0.6,
              insetLeft: 0.5,
              insetRight: 0.5,
            }),
            Plot.rect(hours, {
              className: "dropped",
              x1: "begin",
              x2: "end",
              y1: "executed",
              y2: (hour) => hour.executed + hour.dropped,
              fill: COLORS.fail,
              insetLeft: 0.5,
              insetRight: 0.5,
            }),
            Plot.ruleY([0], { stroke: COLORS.line }),
            tipAlong(hours, "middle", "executed", words),
          ],
        }),
      ];
    },
  });
}

const MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(" ");

/** Full hours, no more than there is room for. */
function hourTicks(from, to, most) {
  const lengths = [1, 2, 3, 6, 12, 24, 48, 168, 336].map((hours) => hours * HOUR);
  const step = lengths.find((length) => (to - from) / length <= most) ?? (to - from) / most;
  const first = Math.ceil(from / step) * step;
  return Array.from(
    { length: Math.floor((to - first) / step) + 1 },
    (_, index) => new Date(first + index * step),
  );
}

/** 09:00, with the day where it begins. */
function hourTick(time, index) {
  const hour = time.getUTCHours();
  const day =
    index === 0 || hour === 0 ? `\n${time.getUTCDate()} ${MONTHS[time.getUTCMonth()]}` : "";
  return `${String(hour).padStart(2, "0")}:00${day}`;
}
