// What the console does in the browser: moves a run's progress bar, switches tabs, copies addresses, adds lines to a check.
"use strict";

// --- progress ---------------------------------------------------------------------------------------------------------------

const POLL_MS = 1000;
const SLOWEST_POLL_MS = 15000;

function followRun(box) {
  const bar = box.querySelector("[data-bar]");
  const part = (name) => box.querySelector(`[data-${name}]`);
  let wait = POLL_MS;

  function show(run) {
    part("label").textContent = run.label;
    part("label").className = `hsp-label hsp-${run.colour}`;
    part("sentence").textContent = run.sentence;
    part("percent").textContent = run.percent === null ? "" : `${run.percent} %`;
    part("no-worker").hidden = !run.no_worker;
    bar.dataset.status = run.status;
    bar.toggleAttribute("data-unsure", run.percent === null && run.status === "running");
    bar.firstElementChild.style.width = `${run.percent ?? 0}%`;
    if (run.percent === null) bar.removeAttribute("aria-valuenow");
    else bar.setAttribute("aria-valuenow", run.percent);
  }

  async function look() {
    try {
      const answer = await fetch(box.dataset.followRun, { headers: { Accept: "application/json" }, redirect: "error" });
      if (!answer.ok) throw new Error(answer.status);
      const run = await answer.json();
      show(run);
      part("lost").hidden = true;
      wait = POLL_MS;
      if (!run.open) {
        part("ended").hidden = false;
        return;
      }
    } catch {
      part("lost").hidden = false;
      wait = Math.min(wait * 2, SLOWEST_POLL_MS);
    }
    setTimeout(look, wait);
  }

  setTimeout(look, POLL_MS);
}

// --- tabs -------------------------------------------------------------------------------------------------------------------

function tabs(list) {
  const buttons = [...list.querySelectorAll("[role=tab]")];

  function choose(button, focus = false) {
    for (const other of buttons) {
      const chosen = other === button;
      other.setAttribute("aria-selected", chosen);
      other.tabIndex = chosen ? 0 : -1;
      document.getElementById(other.getAttribute("aria-controls")).hidden = !chosen;
    }
    if (focus) button.focus();
  }

  for (const button of buttons) button.addEventListener("click", () => choose(button));
  list.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const next = (buttons.indexOf(document.activeElement) + step + buttons.length) % buttons.length;
    choose(buttons[next], true);
  });
  choose(buttons[0]);
}

// --- copying ----------------------------------------------------------------------------------------------------------------

function copier(button) {
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(button.dataset.copy);
    const before = button.textContent;
    button.textContent = "Copied";
    setTimeout(() => (button.textContent = before), 1500);
  });
}

// --- lines of a check -------------------------------------------------------------------------------------------------------

function checkLines(box) {
  const count = box.querySelector("[name$=TOTAL_FORMS]");
  const template = box.querySelector("template");
  const lines = box.querySelector("[data-lines]");
  const prices = new Map([...document.querySelectorAll("#list-menu option")].map((option) => [option.value, option.dataset.price]));
  const form = box.closest("form");
  const number = (input) => Number((input?.value || "").replace(",", ".")) || 0;

  const amount = (name) => number(form.elements[name]);

  function sum() {
    let subtotal = 0;
    for (const line of lines.children) {
      const field = (name) => line.querySelector(`[name$="-${name}"]`);
      const price = field("unit_price").value ? number(field("unit_price")) : Number(prices.get(field("item").value)) || 0;
      subtotal += number(field("quantity")) * price;
    }
    box.querySelector("[data-subtotal]").textContent = subtotal.toFixed(2);
    box.querySelector("[data-total]").textContent = (subtotal - amount("discount") + amount("service_charge") + (form.elements.tax_included?.checked ? 0 : amount("tax"))).toFixed(2);
  }

  box.querySelector("[data-add-line]").addEventListener("click", () => {
    lines.insertAdjacentHTML("beforeend", template.innerHTML.replaceAll("__prefix__", count.value));
    count.value = Number(count.value) + 1;
    lines.lastElementChild.querySelector("input").focus();
    sum();
  });
  box.addEventListener("click", (event) => {
    if (!event.target.closest("[data-remove-line]") || lines.children.length < 2) return;
    event.target.closest(".hsp-line").remove();
    [...lines.children].forEach((line, index) => {
      for (const input of line.querySelectorAll("[name]")) input.name = input.name.replace(/-\d+-/, `-${index}-`);
    });
    count.value = lines.children.length;
    sum();
  });
  form.addEventListener("input", sum);
  sum();
}

document.addEventListener("DOMContentLoaded", () => {
  document.querySelectorAll("[data-follow-run]").forEach(followRun);
  document.querySelectorAll("[role=tablist].hsp-tabs").forEach(tabs);
  document.querySelectorAll("[data-copy]").forEach(copier);
  document.querySelectorAll("[data-check-lines]").forEach(checkLines);
});
