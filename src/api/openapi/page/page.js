"use strict";
(() => {
  const operations = [...document.querySelectorAll("details.operation")];

  // The page was got from where its commands go; in a file it keeps the address that the server named.
  if (location.protocol.startsWith("http")) {
    for (const address of document.querySelectorAll(".address")) address.textContent = location.origin;
  }

  /** The clipboard is there on loopback and over TLS; elsewhere the selection is copied. */
  async function copy(shown) {
    try {
      await navigator.clipboard.writeText(shown.textContent);
      return true;
    } catch {
      getSelection().selectAllChildren(shown);
      return document.execCommand("copy");
    }
  }

  for (const command of document.querySelectorAll(".command")) {
    const button = command.querySelector(".copy");
    const told = command.querySelector(".told");
    button.hidden = false;
    button.addEventListener("click", async () => {
      told.textContent = (await copy(command.querySelector("code"))) ? "Copied" : "Select it and copy it by hand";
      setTimeout(() => (told.textContent = ""), 3000);
    });
  }

  /** Opens the operation that the address names. */
  function open() {
    const named = operations.find((one) => `#${one.id}` === location.hash);
    if (named) {
      named.open = true;
      named.scrollIntoView();
    }
  }
  addEventListener("hashchange", open);
  open();

  const wanted = document.querySelector("#wanted");
  const found = document.querySelector("#found");
  const all = document.querySelector("#all");
  document.querySelector(".finding").hidden = false;

  const told = (one) => `${one.querySelector("summary").textContent} ${one.id}`.toLowerCase();

  /** Shows the operations whose line has all of the words. */
  function find() {
    const words = wanted.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const one of operations) one.hidden = !words.every((word) => told(one).includes(word));
    for (const group of document.querySelectorAll(".group")) {
      group.hidden = !group.querySelector("details.operation:not([hidden])");
    }
    const left = operations.filter((one) => !one.hidden).length;
    found.textContent = words.length > 0 ? `${left} of ${operations.length}` : "";
  }
  wanted.addEventListener("input", find);
  find();

  all.addEventListener("click", () => {
    const opens = all.getAttribute("aria-pressed") === "false";
    all.setAttribute("aria-pressed", String(opens));
    for (const one of operations) one.open = opens;
  });
})();
