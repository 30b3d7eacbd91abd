// A figure: a heading, a sentence on how to read it, a key, and plots that are drawn again when the width changes.

const COLORS = {
  stable: "var(--stable)",
  candidate: "var(--candidate)",
  pass: "var(--pass)",
  fail: "var(--fail)",
  changed: "var(--changed)",
  noise: "var(--noise)",
  quiet: "var(--quiet)",
  line: "var(--line)",
};

const widths = new ResizeObserver((entries) => {
  for (const { target, contentRect } of entries) {
    const width = Math.floor(contentRect.width);
    if (width > 0 && width !== target.drawnWidth) target.draw(width);
  }
});

/**
 * `draw(width)` gives the plots. `says` tells in a sentence what is to be seen, for those who do not see it.
 * `key` lists `[class of the sample, meaning]`.
 */
function figure({ name, title, note, key = [], says, draw }) {
  const heading = element("h4", { id: newName("figure") }, title);
  const samples = key.map(([sample, meaning]) =>
    element(
      "li",
      {},
      element("span", { class: `sample ${sample}`, "aria-hidden": "true" }),
      ` ${meaning}`,
    ),
  );
  const canvas = element("div", { class: "canvas", role: "img", "aria-label": says });
  canvas.draw = (width) => {
    canvas.drawnWidth = width;
    try {
      canvas.replaceChildren(...[draw(width)].flat());
    } catch (error) {
      // One figure that cannot be drawn takes no other with it.
      console.error(`the figure ${name} cannot be drawn`, error);
      canvas.replaceChildren("This figure cannot be drawn; the browser's console says why.");
    }
  };
  widths.observe(canvas);
  return element(
    "figure",
    { class: "card", "data-plot": name, "aria-labelledby": heading.id },
    element(
      "figcaption",
      {},
      heading,
      note && element("p", { class: "note" }, note),
      samples.length > 0 && element("ul", { class: "key" }, samples),
    ),
    canvas,
  );
}

/** A plot in the page's style. It is hidden from screen readers: they are told what its figure `says`. */
function plot(options) {
  const drawn = Plot.plot({
    className: "plot",
    style: { background: "none", fontFamily: "inherit", fontSize: "12px", overflow: "visible" },
    height: 240,
    marginLeft: 48,
    marginRight: 14,
    marginTop: 22,
    marginBottom: 40,
    ...options,
  });
  drawn.setAttribute("aria-hidden", "true");
  return drawn;
}

const TIP = { fill: "var(--card)", stroke: "var(--line)", fontSize: 12, lineHeight: 1.3 };

/** The words of the point that is next to the pointer. */
const tip = (points, x, y, words) => Plot.tip(points, Plot.pointer({ x, y, title: words, ...TIP }));

/** The words of the point that is above or below the pointer; `y` is where they stand. */
const tipAlong = (points, x, y, words) =>
  Plot.tip(points, Plot.pointerX({ x, y, title: words, anchor: "top", ...TIP }));

/** A line across a plot, with words at one of its ends. They go on top of what else is drawn. */
const threshold = (value, words, color, { side = "right", dashes = "5 3" } = {}) => [
  Plot.ruleY([value], {
    className: "threshold",
    stroke: color,
    strokeDasharray: dashes,
    strokeWidth: 1.5,
  }),
  Plot.text([words], {
    y: [value],
    frameAnchor: side,
    textAnchor: side === "right" ? "end" : "start",
    dx: side === "right" ? -2 : 2,
    dy: -8,
    fill: color,
    stroke: "var(--card)",
    strokeWidth: 5,
  }),
];

/** Room on the left for the words of an axis. */
const roomFor = (words, most, share, width) =>
  Math.min(
    Math.max(...words.map((word) => [...shortened(word, most)].length)) * 7 + 16,
    width * share,
  );
