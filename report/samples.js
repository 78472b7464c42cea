"use strict";
// The browser of samples: a list filtered by tags, group and search on the left, one sample on the right.
// Text reaches the page as text nodes only; MathML comes cleaned from report/latex.py.
(() => {
  const source = document.getElementById("samples-data");
  if (!source) return;
  const { group_name: groupName, math, samples, words = {}, folded = false } = JSON.parse(source.textContent);
  const say = (text) => words[text] ?? text; // the page's language
  const PAGE = 200; // list rows drawn at once
  const TOKEN = /(<\|[^<>|]{1,40}\|>|<\/?[A-Za-z_][\w-]{0,30}>)/; // special tokens and tags, in any think format
  const state = { tags: new Set(), group: "", query: "", sort: "", shown: PAGE, selected: 0, raw: false, folded, beside: null };

  const el = (name, attributes = {}, ...children) => {
    const node = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) {
      if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
      else if (value !== null) node.setAttribute(key, value);
    }
    node.append(...children.filter((child) => child !== null));
    return node;
  };
  const format = (value) => {
    if (value === null || value === undefined) return "–";
    if (typeof value !== "number") return String(value);
    return Number.isInteger(value) ? value.toLocaleString("en") : String(+value.toPrecision(4));
  };
  const plain = (pieces) => (pieces || []).map((piece) => piece[0]).join("");
  const searchText = (sample) =>
    (sample.haystack ??= [sample.id, plain(sample.question), ...sample.golds.map(plain), plain(sample.answer), sample.reason,
      ...[...sample.spans, ...(sample.other?.spans ?? [])].map((span) => plain(span[1]))].join("\n").toLowerCase());

  // ---- drawing one sample
  const withTokens = (text) =>
    text.split(TOKEN).filter(Boolean).map((part) => (TOKEN.test(part) ? el("span", { class: "token" }, part) : part));
  const marked = (text) => {
    const query = state.query.trim().toLowerCase();
    const at = query ? text.toLowerCase().indexOf(query) : -1;
    if (at < 0) return withTokens(text);
    const end = at + query.length;
    return [...withTokens(text.slice(0, at)), el("mark", {}, text.slice(at, end)), ...marked(text.slice(end))];
  };
  const drawn = (pieces) =>
    (pieces || []).flatMap(([text, index]) => {
      if (index === undefined || state.raw) return marked(text);
      const holder = document.createElement("template");
      holder.innerHTML = math[index];
      const node = el("span", { title: text });
      node.append(holder.content);
      return [node];
    });
  const fact = (name, value) => el("span", {}, el("i", {}, name), el("b", {}, format(value)));
  const titles = { prefill: say("put there by the prompt"), forced: say("forced by the budget: the model did not choose this"), environment: say("written by the environment: results of the tools that the model called") };

  // the thinking is what comes before the answer; folded, it says how long it is and what was forced in it
  const completion = (spans) => {
    const nodes = spans.map(([kind, pieces]) =>
      el("span", { class: "span-" + kind, title: titles[kind] ?? null }, ...drawn(pieces)));
    const answerAt = spans.findIndex(([kind]) => kind === "answer");
    if (!state.folded || answerAt < 1) return el("div", { class: "text completion" }, ...nodes);
    const thinking = spans.slice(0, answerAt);
    const characters = thinking.reduce((sum, span) => sum + plain(span[1]).length, 0);
    const forced = thinking.filter(([kind]) => kind === "forced").flatMap((span) => [el("span", { class: "span-forced" }, plain(span[1]).trim().slice(0, 40)), " "]);
    return el("div", { class: "text completion" },
      el("details", {}, el("summary", {}, `${say("thinking")}, ${characters.toLocaleString("en")} ${say("characters")} `, ...forced), ...nodes.slice(0, answerAt)),
      ...nodes.slice(answerAt));
  };

  const siblings = (sample) => samples.filter((other) => other.id === sample.id);
  const nameOf = (sample, related) => `${sample.group} · ${related.indexOf(sample) + 1}`;
  const verdictBadge = (sample) => el("span", { class: "badge " + sample.verdict }, say(sample.verdict));
  const scoresOf = (sample) => (Object.keys(sample.scores ?? {}).length
    ? el("div", { class: "facts" }, ...Object.entries(sample.scores).map(([name, value]) => fact(name, value))) : null);
  const besideChoice = (sample, related, sibling) => el("select", {
    "aria-label": say("side by side with"),
    onchange: (event) => {
      state.beside = related[event.target.value] ?? null;
      select(samples.indexOf(sample));
    },
  }, el("option", { value: "" }, "–"), ...related.map((one, at) => one === sample ? null
    : el("option", { value: String(at), selected: one === sibling ? "" : null }, `${nameOf(one, related)} ${say(one.verdict)}`)));
  const detail = (sample) => {
    const related = siblings(sample);
    const scores = Object.entries(sample.scores);
    const other = sample.other;
    const sibling = !other && state.beside !== sample && related.includes(state.beside) ? state.beside : null;
    return [
      el("h3", {}, sample.id),
      el("div", { class: "badges" },
        verdictBadge(sample),
        el("span", { class: "badge" }, sample.group),
        ...sample.tags.map((tag) => el("span", { class: "badge" }, say(tag)))),
      el("div", { class: "facts" },
        ...(sample.golds.length ? sample.golds : [[["–"]]]).map((gold, at, all) =>
          el("span", {}, el("i", {}, all.length > 1 ? `${say("gold")} ${at + 1}` : say("gold")), el("b", {}, ...drawn(gold)))),
        el("span", {}, el("i", {}, say("extracted")), el("b", {}, ...(sample.answer ? drawn(sample.answer) : [say("none")])))),
      el("div", { class: "facts" },
        ...Object.entries(sample.facts).map(([name, value]) => fact(name, value))),
      sample.reason ? el("p", { class: "note" }, say("grader") + ": " + sample.reason) : null,
      scores.length ? el("h4", {}, say("Rewards")) : null,
      scores.length ? el("div", { class: "facts" }, ...scores.map(([name, value]) => fact(name, value))) : null,
      el("h4", {}, say("Question")),
      el("div", { class: "text" }, ...drawn(sample.question)),
      related.length > 1 ? el("h4", {}, `${say("Samples of this question")}: ${related.length}`) : null,
      related.length > 1 ? el("div", { class: "siblings" }, ...related.map((other) =>
        el("button", { "aria-current": String(other === sample), onclick: () => select(samples.indexOf(other)) },
          el("span", { class: "dot " + other.verdict }), el("i", {}, other.group),
          el("b", {}, other.answer ? plain(other.answer).slice(0, 16) : say("none"))))) : null,
      !other && related.length > 1 ? el("label", { class: "note" }, say("side by side with"), " ", besideChoice(sample, related, sibling)) : null,
      sample.prompt ? el("details", {}, el("summary", {}, say("Prompt as the model saw it")),
        el("div", { class: "text completion" }, ...withTokens(sample.prompt))) : null,
      ...(other || sibling ? [] : [el("h4", {}, say("Completion")), completion(sample.spans)]),
      other ? el("div", { class: "beside" },
        el("div", {}, el("h4", {}, other.name, " ", verdictBadge(other)), scoresOf(other), completion(other.spans)),
        el("div", {}, el("h4", {}, say("this run"), " ", verdictBadge(sample)), completion(sample.spans))) : null,
      sibling ? el("div", { class: "beside" }, ...[sibling, sample].map((one) =>
        el("div", {}, el("h4", {}, nameOf(one, related), " ", verdictBadge(one)), scoresOf(one), completion(one.spans)))) : null,
    ].filter((node) => node !== null);
  };

  // ---- list, filters, search
  const matching = () => {
    const query = state.query.trim().toLowerCase();
    const found = samples.map((_, index) => index).filter((index) => {
      const sample = samples[index];
      return (!state.group || sample.group === state.group)
        && [...state.tags].every((tag) => sample.tags.includes(tag) || sample.verdict === tag)
        && (!query || searchText(sample).includes(query));
    });
    if (state.sort) {
      const [direction, name] = [state.sort[0] === "-" ? -1 : 1, state.sort.slice(1)];
      const value = (index) => samples[index].facts[name] ?? samples[index].scores[name];
      const known = found.filter((index) => typeof value(index) === "number");
      const unknown = found.filter((index) => typeof value(index) !== "number");
      return [...known.sort((a, b) => direction * (value(a) - value(b)) || a - b), ...unknown];
    }
    return found;
  };
  let found = [];
  const list = el("ul", { class: "list", role: "listbox", tabindex: "0", "aria-label": say("samples") });
  const pane = el("div", { class: "detail", tabindex: "0" });
  const counter = el("label", { "aria-live": "polite" });

  const row = (index) => {
    const sample = samples[index];
    return el("li", { role: "option", "data-index": index, "aria-selected": String(index === state.selected), onclick: () => select(index) },
      el("div", { class: "top" }, el("span", { class: "dot " + sample.verdict, title: sample.verdict }),
        el("span", { class: "id", title: sample.id }, sample.id), el("span", { class: "group" }, sample.group)),
      el("div", { class: "preview" }, plain(sample.question).slice(0, 120)));
  };
  const drawList = () => {
    const more = found.length - state.shown;
    list.replaceChildren(...found.slice(0, state.shown).map(row),
      ...(more > 0 ? [el("li", { class: "more", onclick: () => { state.shown += PAGE; drawList(); } }, `${more.toLocaleString("en")} ${say("more")} …`)] : []));
    counter.textContent = `${found.length.toLocaleString("en")} ${say("of")} ${samples.length.toLocaleString("en")}`;
  };
  const select = (index) => {
    state.selected = index;
    for (const item of list.children) item.setAttribute("aria-selected", String(item.dataset.index === String(index)));
    pane.replaceChildren(...(samples[index] ? detail(samples[index]) : [el("p", { class: "note" }, say("No sample matches."))]));
    pane.scrollTop = 0;
  };
  const refresh = () => {
    found = matching();
    state.shown = PAGE;
    if (!found.includes(state.selected)) state.selected = found[0] ?? -1;
    drawList();
    select(state.selected);
  };
  const move = (by) => {
    const at = found.indexOf(state.selected) + by;
    if (at < 0 || at >= found.length) return;
    while (at >= state.shown) { state.shown += PAGE; drawList(); }
    select(found[at]);
    list.children[at].scrollIntoView({ block: "nearest" });
  };
  list.addEventListener("keydown", (event) => {
    const by = { ArrowDown: 1, j: 1, ArrowUp: -1, k: -1 }[event.key];
    if (by) { move(by); event.preventDefault(); }
  });

  const counts = new Map();
  for (const sample of samples)
    for (const tag of [sample.verdict, ...sample.tags]) counts.set(tag, (counts.get(tag) ?? 0) + 1);
  const order = ["right", "wrong", "ungraded"];
  const tags = [...order.filter((tag) => counts.has(tag)), ...[...counts.keys()].filter((tag) => !order.includes(tag)).sort()];
  const chip = (tag) => el("button", {
    "aria-pressed": "false", "data-tag": tag,
    onclick: (event) => {
      const on = !state.tags.delete(tag);
      if (on) state.tags.add(tag);
      event.currentTarget.setAttribute("aria-pressed", String(on));
      refresh();
    },
  }, `${say(tag)} ${counts.get(tag).toLocaleString("en")}`);
  const groups = [...new Set(samples.map((sample) => sample.group))];
  const sortable = [...new Set(samples.flatMap((sample) => [...Object.entries(sample.facts), ...Object.entries(sample.scores)]
    .filter(([, value]) => typeof value === "number").map(([name]) => name)))];
  const option = (value, text) => el("option", { value }, text);

  let waiting = 0;
  document.getElementById("samples").append(
    el("div", { class: "bar" },
      el("input", {
        type: "search", placeholder: say("Search question, completion, answer"), "aria-label": say("search"),
        oninput: (event) => {
          state.query = event.target.value;
          clearTimeout(waiting);
          waiting = setTimeout(refresh, 120);
        },
      }),
      groups.length > 1 ? el("select", { "aria-label": groupName, onchange: (event) => { state.group = event.target.value; refresh(); } },
        option("", `${say("every")} ${say(groupName)}`), ...groups.map((group) => option(group, group))) : null,
      sortable.length ? el("select", { "aria-label": say("order"), onchange: (event) => { state.sort = event.target.value; refresh(); } },
        option("", say("in order")), ...sortable.flatMap((name) => [option("-" + name, `${name}, ${say("high first")}`), option("+" + name, `${name}, ${say("low first")}`)])) : null,
      el("label", {}, el("input", { type: "checkbox", onchange: (event) => { state.raw = event.target.checked; select(state.selected); } }), say("LaTeX as written")),
      samples.some((sample) => sample.spans.findIndex((span) => span[0] === "answer") > 0)
        ? el("label", {}, el("input", { type: "checkbox", checked: state.folded ? "" : null, onchange: (event) => { state.folded = event.target.checked; select(state.selected); } }), say("fold the thinking")) : null),
    el("div", { class: "bar" }, ...tags.map(chip), counter),
    el("div", { class: "legend" },
      ...(samples.some((sample) => sample.spans.some((span) => span[0] === "forced"))
        ? [el("span", {}, el("span", { class: "span-forced" }, say("forced")), " ", say("put there by the budget"))] : []),
      ...(samples.some((sample) => sample.spans.some((span) => span[0] === "environment"))
        ? [el("span", {}, el("span", { class: "span-environment" }, say("environment")), " ", say("results of tools"))] : []),
      el("span", {}, el("span", { class: "token" }, "<token>"), " ", say("special token or tag")),
      el("span", {}, say("↑ ↓ in the list: next sample"))),
    el("div", { class: "browser" }, list, pane));

  // #tag=wrong&sample=3 opens the page there: links to one sample can be sent around
  const asked = new URLSearchParams(location.hash.slice(1));
  for (const tag of asked.getAll("tag")) document.querySelector(`[data-tag="${CSS.escape(tag)}"]`)?.click();
  if (asked.has("sample") && samples[+asked.get("sample")]) state.selected = +asked.get("sample");
  refresh();
})();
