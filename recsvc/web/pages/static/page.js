// Buttons, search and the opened item. Everything is put in as text: titles and ids may hold any character.
"use strict";

const customerId = document.body.dataset.customerId;
const SAID = { return: "Return", complaint: "Complaint", complaint_resolved: "Resolved", view: "View", add_to_cart: "Add to cart", purchase: "Bought it", dislike: "Not for me" };
document.documentElement.classList.add("js");
document.querySelector(".stars [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });

function clone(name, values) {
  const made = document.getElementById(name).content.cloneNode(true).firstElementChild;
  fill(made, values);
  return made;
}

function fill(node, values) {
  for (const place of node.querySelectorAll("[data-text]")) {
    const text = String(values[place.dataset.text] ?? "");
    place.textContent = text;
    place.hidden = text === "";
  }
  const tile = node.querySelector(".tile");
  if (tile) tile.className = `tile t${Number(values.tile) || 0}`;
}

function linked(name, values) {
  const made = clone(name, values);
  const link = made.querySelector("[data-link]");
  if (values.href) link.setAttribute("href", values.href);
  else link.removeAttribute("href");
  return made;
}

function card(key, values) {
  if (key === "offers") return linked("card-offers", values);
  const made = clone(key === "home" || key === "again" ? `card-${key}` : "card", values);
  made.dataset.itemId = values.item_id;
  made.dataset.slot = values.slot;
  made.dataset.recommendationId = values.recommendation_id;
  made.dataset.why = values.why;
  made.querySelector("[data-open]").setAttribute("href", values.href);
  for (const button of made.querySelectorAll("[data-kind]")) {
    button.setAttribute("aria-label", `${SAID[button.dataset.kind]}: ${values.title}`);
  }
  return made;
}

function show(panel, within) {
  const place = within.querySelector(`[data-panel="${panel.key}"]`);
  if (!place) return;
  place.querySelector("[data-how]").textContent = panel.how;
  const empty = place.querySelector("[data-empty]");
  empty.textContent = panel.empty;
  empty.hidden = !panel.empty;
  place.querySelector("[data-cards]").replaceChildren(...panel.cards.map((one) => card(panel.key, one)));
  place.querySelector("[data-refused]")?.replaceChildren(...panel.refused.map((one) => linked("refused", one)));
}

function showCustomer(customer) {
  document.querySelector("[data-about]").textContent = customer.about;
  document.querySelector("[data-goodwill]").textContent = customer.goodwill;
  document.querySelector("[data-orders]").replaceChildren(...customer.orders.map((one) => clone("order", one)));
  const doing = document.querySelector("[data-doing]");
  doing.textContent = customer.doing ? `Lately: ${customer.doing}` : "";
  doing.hidden = !customer.doing;
}

// Marks what came and what changed its place among those that stayed; returns the words for it.
function mark(before, cards) {
  const now = cards.map((one) => one.item_id);
  const stayed = before.filter((one) => now.includes(one.id)).map((one) => one.id);
  const kept = now.filter((id) => stayed.includes(id));
  let moved = 0;
  for (const one of cards) {
    const by = stayed.indexOf(one.item_id) - kept.indexOf(one.item_id);
    if (!stayed.includes(one.item_id)) {
      one.mark = "new here";
    } else if (by !== 0) {
      one.mark = by > 0 ? `up ${by}` : `down ${-by}`;
      moved += 1;
    }
  }
  const parts = [
    some("gone", before.filter((one) => !now.includes(one.id)).map((one) => one.title)),
    some("new here", cards.filter((one) => one.mark === "new here").map((one) => one.title)),
    moved ? `${moved} moved` : "",
  ];
  return parts.filter(Boolean).join("; ");
}

function some(word, titles) {
  const more = titles.length > 2 ? ` and ${titles.length - 2} more` : "";
  return titles.length ? `${word}: ${titles.slice(0, 2).map((title) => `“${title}”`).join(", ")}${more}` : "";
}

function say(kind, tookMs, what) {
  if (!what) return `${SAID[kind]} → stored in ${tookMs} ms, the list stays as it is`;
  return `${SAID[kind]} → the list changed in ${tookMs} ms. ${what[0].toUpperCase()}${what.slice(1)}.`;
}

async function interact(button) {
  const from = button.closest(".card");
  const place = from.closest("[data-cards]");
  const cards = [...place.children];
  const at = cards.indexOf(from);
  const change = document.getElementById("change");
  const kind = button.dataset.kind;
  const before = cards.map((one) => ({ id: one.dataset.itemId, title: one.querySelector("h3").textContent }));
  place.setAttribute("aria-busy", "true");
  try {
    const reply = await send({
      customer_id: customerId, item_id: from.dataset.itemId, kind, channel: "web", slot: Number(from.dataset.slot),
      recommendation_id: from.dataset.recommendationId,
    });
    const home = reply.panels.find((one) => one.key === "home");
    const what = mark(before, home.cards);
    for (const panel of reply.panels) show(panel, document.querySelector("main"));
    showCustomer(reply.customer);
    change.textContent = say(kind, reply.took_ms, what);
    // The button is gone with its card; the keyboard goes on where the card was.
    const next = [...place.children].find((one) => one.dataset.itemId === from.dataset.itemId);
    (next ?? place.children[Math.min(at, place.children.length - 1)])
      ?.querySelector(`[data-kind="${kind}"]`).focus({ preventScroll: true });
  } catch (error) {
    change.textContent = `${SAID[kind]} was not stored: ${error.message}`;
  } finally {
    place.removeAttribute("aria-busy");
  }
}

// What is about the customer, or about what they had, and changes the offers rather than the list.
async function tell(button, body) {
  const change = document.getElementById("change");
  const kind = body.kind;
  button.disabled = true;
  try {
    const reply = await send({ customer_id: customerId, channel: "web", ...body });
    for (const panel of reply.panels) show(panel, document.querySelector("main"));
    showCustomer(reply.customer);
    change.textContent = `${SAID[kind]} → stored, offers and lists as they are now in ${reply.took_ms} ms`;
  } catch (error) {
    change.textContent = `${SAID[kind]} was not stored: ${error.message}`;
  } finally {
    button.disabled = false;
  }
}

async function send(body) {
  const reply = await fetch("/pages/interactions", {
    method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body),
  });
  return read(reply);
}

async function read(reply) {
  const found = await reply.json();
  if (!reply.ok) throw new Error(found.detail ?? reply.statusText);
  return found;
}

async function open(link) {
  const dialog = document.getElementById("item");
  const from = link.closest(".card");
  const asked = new URLSearchParams({ item_id: from.dataset.itemId });
  if (customerId !== undefined) asked.set("customer_id", customerId);
  const found = await read(await fetch(`/pages/item?${asked}`));
  fill(dialog.querySelector(".opened"), found);
  const why = document.getElementById("item-why");
  why.textContent = from.dataset.why;
  why.hidden = !from.dataset.why;
  for (const panel of found.panels) show(panel, dialog);
  if (!dialog.matches(":modal")) {
    dialog.close();
    dialog.showModal();
  }
  dialog.scrollTop = 0;
  document.getElementById("item-title").focus();
}

let asking = 0;
async function suggest(text) {
  const turn = ++asking;
  const reply = await read(await fetch(`/pages/search?${new URLSearchParams({ q: text })}`));
  if (turn !== asking) return; // a later letter was answered first
  const options = reply.customers.map((id) => Object.assign(document.createElement("option"), { value: id }));
  document.getElementById("found").replaceChildren(...options);
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-kind]");
  if (button?.dataset.kind === "return") {
    tell(button, { kind: "return", reason: "defective", item_id: button.closest(".card").dataset.itemId });
  } else if (button && !button.closest("[aria-busy]")) interact(button);
  const told = event.target.closest("[data-told]");
  if (told) tell(told, { kind: told.dataset.told });
  const link = event.target.closest("[data-open]");
  // With a modifier key the link opens as a page of its own.
  if (link && !event.ctrlKey && !event.metaKey && !event.shiftKey) {
    event.preventDefault();
    open(link).catch(() => { window.location.href = link.href; });
  }
  if (event.target.id === "item") event.target.close(); // a click beside the opened item
});
document.getElementById("search").addEventListener("input", (event) => {
  suggest(event.target.value).catch(() => {});
});
