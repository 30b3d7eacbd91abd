// What pairs do to the latency of the stable version.

const BACKED_OFF = {
  1: "Pairs have slowed the stable version down by more than 2 %, so there are half as many now. What is said here is about these.",
  2: "Pairs have slowed the stable version down by more than 2 % again, so there are as few as possible until the rollout is over. What is said here is about these.",
};

function interferenceSentences({ interference }) {
  if (!interference) return [];
  const { blocks, slowdown_upper95: usual, slowdown_p99_upper95: slow, needs, backed_off } = interference;
  const sentences = [];
  if (isNumber(usual)) {
    const slowest = isNumber(slow)
      ? `, and its slowest hundredth by less than ${percentText(slow)}`
      : "; of its slowest hundredth that is not known yet";
    sentences.push(`Pairs slow the stable version down by less than ${percentText(usual)} (95${SPACE}%)${slowest}.`);
  } else {
    sentences.push("Whether pairs slow the stable version down is not known yet.");
  }
  if (isNumber(needs)) {
    sentences.push(`Less than 2${SPACE}% needs about ${plural(needs, "more block", "more blocks")}.`);
  }
  sentences.push(
    `Seen in ${plural(blocks, "block")} of time, of which some are without pairs.`,
  );
  return [sentences.join(" "), BACKED_OFF[backed_off]].filter(Boolean);
}

function interferenceSection(report) {
  const paragraphs = interferenceSentences(report).map((words) => element("p", {}, words));
  if (paragraphs.length === 0) return undefined;
  return section(
    "What pairs cost",
    "Live requests of the stable version, in blocks of time with pairs and without.",
    element("div", { "data-part": "interference" }, paragraphs),
  );
}
