"use strict";
(() => {
  const one = (selector, within = document) => within.querySelector(selector);
  const form = one(".tools"), main = one("main"), dialog = one("dialog"), empty = one(".empty");
  const cards = [...main.children];
  const fields = ["text", "truth", "found", "kind", "order", "low", "high", "strength"].map((id) => one("#" + id));
  const chosen = (name) => one(`input[name=${name}]:checked`, form).value;
  const choose = (name, value) => {
    for (const input of form.querySelectorAll(`input[name=${name}]`)) input.checked = input.value === value;
  };
  let shown = cards, open = -1;

  const orders = {
    "": (card) => cards.indexOf(card),
    "iou-up": (card) => Number(card.dataset.iou ?? 2),
    "iou-down": (card) => -Number(card.dataset.iou ?? -1),
    "score-up": (card) => Number(card.dataset.score ?? 2),
    "score-down": (card) => -Number(card.dataset.score ?? -1),
  };

  function matches(card, want) {
    const data = card.dataset;
    if (!want.words.every((word) => data.search.includes(word))) return false;
    if (want.set && !data.sets.split(" ").includes(want.set)) return false;
    if (want.truth && data.truth !== want.truth) return false;
    if (want.found && data.found !== want.found) return false;
    if (want.kind && data.kind !== want.kind) return false;
    if (data.iou === undefined) return want.low === 0 && want.high === 100;
    const iou = 100 * Number(data.iou);
    return iou >= want.low && iou <= want.high;
  }

  function show() {
    const value = Object.fromEntries(fields.map((field) => [field.id, field.value]));
    const low = Math.min(Number(value.low), Number(value.high)), high = Math.max(Number(value.low), Number(value.high));
    const words = value.text.toLowerCase().split(/\s+/).filter(Boolean);
    const want = { words, set: chosen("set"), truth: value.truth, found: value.found, kind: value.kind, low, high };
    shown = cards.filter((card) => matches(card, want));
    const rank = orders[value.order] ?? orders[""];
    shown.sort((a, b) => rank(a) - rank(b));
    const wanted = new Set(shown);
    for (const card of cards) card.hidden = !wanted.has(card);
    // A card that is moved loses the focus, so none is moved without need.
    const before = [...main.children].filter((card) => wanted.has(card));
    if (shown.some((card, place) => card !== before[place])) main.append(...shown);
    for (const bin of document.querySelectorAll(".histogram g")) {
      bin.classList.toggle("out", Number(bin.dataset.high) <= low && low > 0 || Number(bin.dataset.low) >= high && high < 100);
    }
    one("#range").textContent = `${low} to ${high} %`;
    one("#status").textContent = `${shown.length} of ${cards.length} cases`;
    empty.hidden = shown.length > 0;
    document.body.dataset.view = chosen("view");
    document.body.style.setProperty("--strength", value.strength / 100);
    remember(value);
  }

  function remember(value) {
    const kept = new URLSearchParams();
    for (const field of fields) if (value[field.id] !== field.dataset.usual) kept.set(field.id, value[field.id]);
    for (const name of ["set", "view"]) if (chosen(name) !== (name === "view" ? "compared" : "")) kept.set(name, chosen(name));
    const hash = kept.toString();
    // Some browsers refuse this for files; then the address just does not follow.
    try { history.replaceState(null, "", hash ? "#" + hash : location.pathname); } catch { return; }
  }

  function recall() {
    const kept = new URLSearchParams(location.hash.slice(1));
    for (const field of fields) if (kept.has(field.id)) field.value = kept.get(field.id);
    for (const name of ["set", "view"]) if (kept.has(name)) choose(name, kept.get(name));
    for (const name of ["set", "view"]) if (!one(`input[name=${name}]:checked`, form)) one(`input[name=${name}]`, form).checked = true;
  }

  function enlarge(place) {
    if (!shown[place] || !one(".open", shown[place])) return;
    open = place;
    const card = shown[place];
    one("#large-title").textContent = one(".open", card).textContent;
    one(".large").replaceChildren(one(".stack", card).cloneNode(true));
    const facts = one(".more", card).cloneNode(true);
    facts.className = "";
    one(".facts").replaceChildren(facts);
    one(".place").textContent = `${place + 1} of ${shown.length}`;
    one(".before").disabled = place === 0;
    one(".after").disabled = place === shown.length - 1;
    if (!dialog.open) dialog.showModal();
  }

  function move(step) {
    if (dialog.open) return enlarge(Math.min(shown.length - 1, Math.max(0, open + step)));
    const buttons = shown.map((card) => one(".open", card)).filter(Boolean);
    const now = buttons.indexOf(document.activeElement);
    buttons[Math.min(buttons.length - 1, Math.max(0, now + step))]?.focus();
  }

  for (const field of fields) field.dataset.usual = field.value;
  form.addEventListener("input", show);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(show));
  one("#again").addEventListener("click", () => form.reset());
  main.addEventListener("click", (event) => {
    const card = event.target.closest("article");
    if (card && !String(getSelection())) enlarge(shown.indexOf(card));
  });
  one(".close").addEventListener("click", () => dialog.close());
  one(".before").addEventListener("click", () => move(-1));
  one(".after").addEventListener("click", () => move(1));
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
  dialog.addEventListener("close", () => { if (shown[open]) one(".open", shown[open]).focus(); });

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const typing = event.target.matches("input, select, textarea");
    if (event.key === "Escape" && event.target.id === "text") { event.target.value = ""; show(); return; }
    if (typing) return;
    const views = ["compared", "answer", "truth", "photograph"];
    if (event.key === "/") { event.preventDefault(); one("#text").focus(); }
    else if (event.key === "ArrowRight" || event.key === "j") { event.preventDefault(); move(1); }
    else if (event.key === "ArrowLeft" || event.key === "k") { event.preventDefault(); move(-1); }
    else if (views[Number(event.key) - 1]) { choose("view", views[Number(event.key) - 1]); show(); }
  });

  recall();
  show();
})();
