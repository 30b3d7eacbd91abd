// What a reader looks for first: the key numbers, a broken contract, failed runs.

/** The numbers that a reader looks for first. */
function keyNumbers(report) {
  const { sampling = {}, latency = {}, errors = {}, noise = {}, outputs = [] } = report;
  const tiles = [];
  const tile = (value, name, note) =>
    tiles.push(
      element(
        "div",
        { class: "tile" },
        element("dt", {}, name),
        element("dd", { class: "value" }, value),
        note && element("dd", { class: "quiet" }, note),
      ),
    );
  if (isNumber(sampling.executed) && sampling.executed > 0) {
    tile(
      countText(sampling.executed),
      "pairs compared",
      `of ${plural(sampling.eligible, "request")}`,
    );
  }
  for (const { name, metrics = {} } of outputs) {
    const [portion, words] = metrics.flips
      ? [metrics.flips, "flips"]
      : [metrics.within_tolerance, "within tolerance"];
    if (portion?.n > 0)
      tile(
        percentText(portion.rate),
        `${words}, ${shortened(name, 24)}`,
        `${countText(portion.k)} of ${plural(portion.n, "row")}`,
      );
    else if (metrics.cosine?.p50 !== undefined)
      tile(cosineText(metrics.cosine.p50), `median cosine, ${shortened(name, 24)}`);
  }
  if (isNumber(latency.log_ratio?.p50)) {
    const often = latency.log_ratio.p95;
    tile(
      ratioText(Math.exp(latency.log_ratio.p50)),
      "stable's time, median",
      isNumber(often) && `p95 ${ratioText(Math.exp(often))}`,
    );
  }
  if (isNumber(errors.candidate_only)) {
    tile(
      countText(errors.candidate_only),
      "failed on candidate only",
      `${countText(errors.stable_only)} on stable only`,
    );
  }
  if (noise.pairs > 0) {
    tile(
      noise.bit_identical ? "none" : percentText(noise.flip_rate ?? 0),
      "noise of one version",
      noise.bit_identical ? "identical bit by bit" : "rows that flip by themselves",
    );
  }
  return tiles.length > 0
    ? element("dl", { class: "tiles", "aria-label": "Key numbers" }, tiles)
    : undefined;
}

const VIOLATIONS = {
  nan: "NaN or infinity where stable has none",
  shape: "another shape",
  dtype: "another element type",
  missing: "no such output",
};

/** What callers rely on and the candidate broke. It stands above everything else. */
function contractNotice({ contract = [] }) {
  if (contract.length === 0) return undefined;
  const title = element("h3", { id: newName("contract") }, "The candidate breaks its contract");
  const items = contract.map(({ kind, output, pairs, first, detail }) =>
    element(
      "li",
      {},
      element("strong", {}, Object.hasOwn(VIOLATIONS, kind) ? VIOLATIONS[kind] : kind),
      " in output ",
      element("code", {}, output),
      `: ${plural(pairs, "pair")}`,
      first && `, first at ${timeText(first)}`,
      detail && element("span", { class: "detail" }, detail),
    ),
  );
  return element(
    "section",
    { class: "contract", "aria-labelledby": title.id },
    title,
    element("ul", {}, items),
  );
}

function errorsTable({ errors }) {
  if (!errors) return undefined;
  const rows = [
    ["the candidate alone", errors.candidate_only],
    ["stable alone", errors.stable_only],
    ["both", errors.both],
    ["of these cut off", errors.timeouts],
  ].filter(([, count]) => isNumber(count));
  if (rows.every(([, count]) => count === 0)) return undefined;
  return table({
    name: "errors",
    caption: "Failed runs",
    note: "Requests on which both fail say nothing about the candidate.",
    columns: [{ name: "Failed on" }, { name: "Pairs", isNumber: true }],
    rows: rows.map(([words, count]) => [words, countText(count)]),
  });
}
