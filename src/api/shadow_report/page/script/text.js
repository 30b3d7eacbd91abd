// Numbers, times and words as people read them. The digits shown are those that carry meaning.

const MINUS = "\u2212";
/** Between a number and its unit, which stay together. */
const SPACE = "\u00a0";
const LN10 = Math.LN10;

const isNumber = (value) => typeof value === "number" && Number.isFinite(value);

const spelled = (value, options) =>
  new Intl.NumberFormat("en", options).format(value).replace("-", MINUS);

/** 51,234 */
const countText = (value) => spelled(value, { maximumFractionDigits: 0 });

/** 0.0031 as 0.31 %: two digits of what is left to 0 or to 100, as that is what a share is read for. */
function percentText(share) {
  const percent = share * 100;
  const rest = Math.min(Math.abs(percent), Math.abs(100 - percent));
  if (percent !== 0 && Math.abs(percent) < 1e-4) return `<${SPACE}0.0001${SPACE}%`;
  const decimals = rest >= 1 || rest === 0 ? 1 : Math.min(1 - Math.floor(Math.log10(rest)), 6);
  return `${spelled(percent, { maximumFractionDigits: decimals })}${SPACE}%`;
}

/** A difference of shares: +1.2 pp. */
const pointsText = (difference) =>
  `${signed(difference, (value) => spelled(value * 100, { minimumFractionDigits: 1, maximumFractionDigits: 1 }))}${SPACE}pp`;

const signed = (value, text) => (value > 0 ? "+" : value < 0 ? MINUS : "±") + text(Math.abs(value));

/** Any number: 1,234 or 0.0123 or 1.2×10⁻⁵. */
function numberText(value, digits = 3) {
  const size = Math.abs(value);
  if (size !== 0 && (size >= 1e6 || size < 1e-3)) {
    const [mantissa, exponent] = value.toExponential(digits - 1).split("e");
    return `${String(Number(mantissa)).replace("-", MINUS)}×10${raised(Number(exponent))}`;
  }
  return spelled(value, {
    maximumSignificantDigits: Math.max(digits, Math.ceil(Math.log10(size + 1))),
  });
}

const raised = (exponent) =>
  [...String(exponent)].map((c) => "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"["-0123456789".indexOf(c)]).join("");

/** A cosine has its news far behind the point. */
const cosineText = (value) => spelled(value, { maximumFractionDigits: 6 });

const millisecondsText = (ms) =>
  ms >= 1000 ? `${numberText(ms / 1000)}${SPACE}s` : `${numberText(ms)}${SPACE}ms`;

/** exp of a log ratio: ×1.21 */
const ratioText = (ratio) => `×${spelled(ratio, { maximumSignificantDigits: 3 })}`;

/** Natural logarithm of an e-value, as a power of ten: that is how many noughts speak for it. */
const evidenceText = (log) =>
  spelled(log / LN10, { maximumFractionDigits: 1, minimumFractionDigits: 1 });

function bytesText(bytes) {
  const units = ["B", "KiB", "MiB", "GiB"];
  const power = bytes > 0 ? Math.min(Math.floor(Math.log2(bytes) / 10), units.length - 1) : 0;
  return `${spelled(bytes / 1024 ** power, { maximumFractionDigits: 1 })}${SPACE}${units[power]}`;
}

/** 2026-09-01 02:03 UTC; what is no time stays as it is. */
function timeText(written) {
  const time = new Date(written);
  if (Number.isNaN(time.getTime())) return String(written);
  return `${time.toISOString().slice(0, 16).replace("T", " ")} UTC`;
}

const plural = (count, one, many = `${one}s`) => `${countText(count)} ${count === 1 ? one : many}`;

/** The beginning of a text, where there is no room for all of it. */
function shortened(text, most) {
  const characters = [...String(text)];
  return characters.length <= most ? String(text) : `${characters.slice(0, most - 1).join("")}…`;
}

/** The end of a text, where that is what tells it from others. */
function endOf(text, most) {
  const characters = [...String(text)];
  return characters.length <= most ? String(text) : `…${characters.slice(1 - most).join("")}`;
}

/** As one word of a shell's command line, whatever is in it. */
const shellWord = (text) => `'${text.replaceAll("'", "'\\''")}'`;

/** The range in which a share lies with 95 % probability (Wilson). */
function shareInterval(k, n) {
  const z = 1.96;
  const middle = (k + (z * z) / 2) / (n + z * z);
  const half = (z / (n + z * z)) * Math.sqrt((k * (n - k)) / n + (z * z) / 4);
  return [Math.max(middle - half, 0), Math.min(middle + half, 1)];
}
