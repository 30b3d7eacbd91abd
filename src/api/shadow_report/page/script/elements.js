// Elements of the page. Words become text nodes here and nothing else, so that none of them can be markup.

/** An element with attributes (those that are undefined are left out) and children, which are elements, texts or lists. */
function element(name, attributes, ...children) {
  const made = document.createElement(name);
  for (const [attribute, value] of Object.entries(attributes)) {
    if (value !== undefined) made.setAttribute(attribute, value);
  }
  made.append(
    ...children.flat(Infinity).filter((child) => ![undefined, null, false].includes(child)),
  );
  return made;
}

/** A name that may go on in the next line where one of its words ends. */
const breakable = (name) =>
  element(
    "code",
    {},
    String(name)
      .split(/(?<=[:=._/-])/)
      .flatMap((word) => [element("wbr", {}), word])
      .slice(1),
  );

let given = 0;
/** A name for an element that others refer to. */
const newName = (what) => `${what}-${++given}`;

/** A part of a report; nothing where it has nothing to show. */
function section(title, intro, ...children) {
  const shown = children.flat(Infinity).filter(Boolean);
  if (shown.length === 0) return undefined;
  const heading = element("h3", { id: newName("part") }, title);
  return element(
    "section",
    { class: "part", "aria-labelledby": heading.id },
    heading,
    intro && element("p", { class: "intro" }, intro),
    shown,
  );
}

/** Figures and tables beside each other where there is room; nothing where there are none. */
function grid(...children) {
  const shown = children.flat(Infinity).filter(Boolean);
  return shown.length > 0 ? element("div", { class: "grid" }, shown) : undefined;
}

/** Short ones on top of each other. */
function stack(...children) {
  const shown = children.filter(Boolean);
  return shown.length > 0 ? element("div", { class: "stack" }, shown) : undefined;
}

/**
 * A table: its columns are `{ name, isNumber }`, the first cell of a row is the row's header.
 * Where the screen is narrow a wide one becomes a list of cards (`stacks`); the roles say that it is a table still.
 */
function table({ name, caption, note, columns, rows, stacks }) {
  const id = newName("table");
  const cell = (content, column, at) =>
    element(
      at === 0 ? "th" : "td",
      {
        ...(at === 0 ? { scope: "row", role: "rowheader" } : { role: "cell" }),
        class: column.isNumber ? "number" : undefined,
        "data-column": column.name,
      },
      stacks ? element("span", {}, content) : content,
    );
  const head = columns.map((column) =>
    element(
      "th",
      { scope: "col", role: "columnheader", class: column.isNumber ? "number" : undefined },
      column.name,
    ),
  );
  const body = rows.map((row) =>
    element(
      "tr",
      { role: "row" },
      row.map((content, at) => cell(content, columns[at], at)),
    ),
  );
  return element(
    "div",
    { class: "card", "data-table": name },
    element("h4", { id }, caption),
    note && element("p", { class: "note" }, note),
    element(
      "div",
      { class: "table" },
      element(
        "table",
        { role: "table", "aria-labelledby": id, class: stacks ? "stacks" : undefined },
        element("thead", { role: "rowgroup" }, element("tr", { role: "row" }, head)),
        element("tbody", { role: "rowgroup" }, body),
      ),
    ),
  );
}

const SIGNS = { passed: "✓", failed: "✕", open: "○" };

function badge(status) {
  const known = Object.hasOwn(SIGNS, status) ? status : "open";
  return element(
    "span",
    { class: `badge ${known}` },
    element("span", { "aria-hidden": "true" }, SIGNS[known]),
    ` ${status}`,
  );
}
