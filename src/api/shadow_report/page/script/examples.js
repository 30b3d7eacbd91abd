// The worst examples, with the commands that ask for them again.

/** As many are shown at once; the others a click away. */
const FIRST_EXAMPLES = 8;

const links = {
  inference: document.body.dataset.inference.replace(/\/+$/, ""),
  admin: document.body.dataset.admin.replace(/\/+$/, ""),
  wantsToken: document.body.dataset.token !== undefined,
};

const authorization = links.wantsToken ? ' -H "authorization: Bearer $GREENROOM_ADMIN_TOKEN"' : "";

const adminCommand = (path) => `curl -sS${authorization} ${shellWord(links.admin + path)}`;

/** Fetches an example; where its inputs were kept, asks both versions with them as well. */
function exampleCommand(report, example) {
  const fetch = adminCommand(`/shadow/samples/${encodeURIComponent(example.id)}`);
  if (!example.has_inputs) return fetch;
  const ask = ({ version }) => {
    const path = `/v1/models/${encodeURIComponent(report.model)}/versions/${encodeURIComponent(version)}:predict`;
    return `printf '%s' "$sample" | curl -sS ${shellWord(links.inference + path)} -d @-`;
  };
  return [`sample=$(${fetch})`, ask(report.stable), ask(report.candidate)].join("\n");
}

const reportCommand = ({ model, rollout }) =>
  adminCommand(`/shadow/report?${new URLSearchParams({ model, rollout })}`);

/** A command with a button that copies it. */
function commandBlock(command, name) {
  const text = element(
    "pre",
    { tabindex: "0", "aria-label": `Command: ${name}` },
    element("code", {}, command),
  );
  const button = element(
    "button",
    { type: "button", class: "copy", "aria-label": `Copy the command: ${name}` },
    "Copy",
  );
  const told = element("span", { class: "told", role: "status" });
  button.addEventListener("click", async () => {
    told.textContent = (await copy(command, text)) ? "Copied" : "Select it and copy it by hand";
    setTimeout(() => (told.textContent = ""), 3000);
  });
  return element(
    "div",
    { class: "command" },
    text,
    element("div", { class: "actions" }, button, told),
  );
}

/** The clipboard is there on loopback and over TLS; elsewhere the selection is copied. */
async function copy(command, shown) {
  try {
    await navigator.clipboard.writeText(command);
    return true;
  } catch {
    getSelection().selectAllChildren(shown);
    return document.execCommand("copy");
  }
}

function exampleCard(report, example) {
  const number = isNumber(example.request_number)
    ? `request ${countText(example.request_number)}`
    : undefined;
  const facts = [
    number,
    example.at && timeText(example.at),
    example.has_inputs ? undefined : "inputs not kept",
  ];
  return element(
    "li",
    { class: "example" },
    element(
      "p",
      { class: "answers" },
      element(
        "span",
        { class: "badge changed" },
        `${shortened(example.metric, 24)}${isNumber(example.score) ? ` ${numberText(example.score)}` : ""}`,
      ),
      " ",
      element(
        "span",
        { class: "answer stable" },
        element("span", { class: "quiet" }, "stable "),
        example.stable,
      ),
      element("span", { class: "arrow", "aria-hidden": "true" }, " → "),
      element(
        "span",
        { class: "answer candidate" },
        element("span", { class: "quiet" }, "candidate "),
        example.candidate,
      ),
    ),
    element(
      "p",
      { class: "quiet" },
      element("code", {}, example.output),
      facts.filter(Boolean).map((fact) => ` · ${fact}`),
    ),
    element(
      "details",
      {},
      element(
        "summary",
        {},
        `${example.has_inputs ? "Ask both versions again" : "Fetch it"} (${shortened(example.id, 24)})`,
      ),
      commandBlock(exampleCommand(report, example), String(example.id)),
    ),
  );
}

function examplesList(report) {
  const examples = report.worst ?? [];
  if (examples.length === 0) return undefined;
  const cards = examples.map((example) => exampleCard(report, example));
  const list = (some) => element("ol", { class: "examples" }, some);
  const rest = cards.slice(FIRST_EXAMPLES);
  return element(
    "div",
    { "data-list": "worst" },
    list(cards.slice(0, FIRST_EXAMPLES)),
    rest.length > 0 &&
      element(
        "details",
        { class: "more" },
        element("summary", {}, `${plural(rest.length, "more example")}`),
        list(rest),
      ),
  );
}
