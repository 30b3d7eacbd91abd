// A report from top to bottom: what must be seen first comes first, and what has no data is not there.

function outputSection(output) {
  const distances = [absoluteFigure(output), cosineFigure(output)];
  const classes = [transitionsFigure(output), classShareFigure(output), marginsFigure(output)];
  const values = [scatterFigure(output), residualsFigure(output)];
  // Of a classification one wants to know the classes first, of numbers how far apart they are.
  const figures = classes.some(Boolean) ? [classes, values, distances] : [distances, values];
  const shape = output.shape ? `[${output.shape.join(", ")}]` : "";
  return section(
    `Output ${shortened(output.name, 60)}`,
    [output.kind, output.dtype && `${output.dtype}${shape}`, plural(output.rows, "row")].filter(Boolean).join(", "),
    grid(metricsTable(output), figures),
  );
}

function parts(report) {
  return [
    contractNotice(report),
    keyNumbers(report),
    section(
      "What is judged",
      undefined,
      gatesTable(report.verdict ?? {}),
      grid(evidenceFigure(report), estimateFigure(report)),
    ),
    section("Over time", undefined, agreementFigure(report)),
    (report.outputs ?? []).map(outputSection),
    section(
      "Latency and failures",
      undefined,
      grid(latencyFigure(report), stack(latencyTable(report), errorsTable(report))),
    ),
    section(
      "Slices",
      "Kinds of requests, and how much the versions differ on each.",
      grid(slicesTable(report), slicesFigure(report)),
    ),
    section(
      "Worst examples",
      "The requests on which the versions differ most.",
      examplesList(report),
    ),
    section(
      "Sampling",
      samplingSentence(report),
      grid(dropReasonsFigure(report), dropSizesFigure(report), noiseTable(report)),
    ),
    interferenceSection(report),
    section(
      "This report as JSON",
      undefined,
      commandBlock(reportCommand(report), "this report as JSON"),
    ),
  ].flat();
}

function samplingSentence({ sampling }) {
  if (!sampling) return undefined;
  const { rate, eligible, sampled, executed, rehearsed, deferred } = sampling;
  const recorded = isNumber(rehearsed) && rehearsed > 0 ? `; ${countText(rehearsed)} of them were recorded before` : "";
  const waiting = isNumber(deferred) && deferred > 0 ? `; ${countText(deferred)} wait on the disk` : "";
  return `${percentText(rate)} of requests are drawn: ${countText(sampled)} of ${countText(eligible)} so far, of which ${countText(executed)} were run on both versions${recorded}${waiting}.`;
}

/** Links to the parts, where there are enough to lose oneself. */
function contents(shown) {
  const headings = shown.map((part) => part.querySelector(":scope > h3")).filter(Boolean);
  if (headings.length < 3) return [];
  const entries = headings.map((heading) =>
    element("li", {}, element("a", { href: `#${heading.id}` }, heading.textContent)),
  );
  return [
    element(
      "nav",
      { class: "contents", "aria-label": "Parts of this report" },
      element("ul", {}, entries),
    ),
  ];
}

/** What has no value is left out, whether it is absent or null. */
const known = (_, value) => value ?? undefined;

const answer = JSON.parse(document.getElementById("answer").textContent, known);
answer.reports.forEach((report, index) => {
  const article = document.getElementById(`report-${index + 1}`);
  try {
    const shown = parts(report).filter(Boolean);
    article.append(...contents(shown), ...shown);
  } catch (error) {
    console.error(`report ${index + 1} cannot be shown`, error);
    const words = "This report cannot be shown in full; the browser's console says why.";
    article.append(element("p", { class: "notice" }, words));
  }
});
