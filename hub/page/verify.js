"use strict";

// The page around the verifier: takes the two files, has a worker verify them, and shows each
// check as a line. All text goes in as text, so that evidence cannot bring markup along.

const element = (id) => document.getElementById(id);
const form = element("form");
const limit = Number(form.dataset.limit); // bytes of evidence
const trustLimit = 1 << 20;

// The parts of a report by the first word of a check's name, in their order.
const areas = [
  ["log", "The ledger"],
  ["trial", "The trial"],
  ["question", "The question"],
  ["result", "The answer"],
  ["node", "The hospitals"],
  ["epoch", "Their consents"],
  ["access", "Their proofs that consent covered what they used"],
  ["consent", "A participant's consent"],
  ["chain", "The chain"],
];

let evidence = null; // the chosen file
let worker = null; // while it verifies

function chosen(file) {
  evidence = file;
  element("evidence-name").textContent = file ? `${file.name}, ${size(file.size)}` : "";
}

const size = (n) => (n < 1e6 ? `${Math.ceil(n / 1e3)} kB` : `${(n / 1e6).toFixed(1)} MB`);

async function trustFrom(file) {
  if (!file) return;
  if (file.size > trustLimit) {
    element("trust-name").textContent = `${file.name} is too large for a trust document.`;
    return;
  }
  element("trust-text").value = await file.text();
  element("trust-name").textContent = file.name;
}

element("evidence").addEventListener("change", (event) => chosen(event.target.files[0] ?? null));
element("trust").addEventListener("change", (event) => trustFrom(event.target.files[0]));

const over = (on) => element("drop").classList.toggle("over", on);
document.addEventListener("dragover", (event) => {
  event.preventDefault();
  over(true);
});
document.addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) over(false);
});
document.addEventListener("drop", (event) => {
  event.preventDefault();
  over(false);
  for (const file of event.dataTransfer.files) {
    if (file.name.endsWith(".json")) trustFrom(file);
    else chosen(file);
  }
});

form.addEventListener("submit", (event) => {
  event.preventDefault();
  verify();
});
element("stop").addEventListener("click", () => done({ fault: "you stopped it." }));

async function verify() {
  const trust = element("trust-text").value;
  show("");
  if (!evidence) return done({ fault: "choose the file with the evidence." });
  if (!trust.trim()) return done({ fault: "the trust document is missing." });
  if (trust.length > trustLimit) return done({ fault: "the trust document is too large to be one." });
  if (evidence.size > limit) {
    return done({ fault: `the file has ${size(evidence.size)}, and this page takes up to ${size(limit)}. trialmesh verify takes larger ones.` });
  }
  busy(true);
  verdict("Verifying…", "");
  let archive;
  try {
    archive = await evidence.arrayBuffer();
  } catch {
    return done({ fault: "the file with the evidence cannot be read." });
  }
  const address = URL.createObjectURL(new Blob([element("worker").textContent], { type: "text/javascript" }));
  worker = new Worker(address);
  URL.revokeObjectURL(address);
  worker.onmessage = ({ data }) => done(data);
  worker.onerror = () => done({ fault: "the verifier stopped: the file is damaged, or too large for this browser." });
  worker.postMessage({ verifier: element("verifier").textContent, archive, trust }, [archive]);
}

function busy(on) {
  element("verify").disabled = on;
  element("stop").hidden = !on;
  form.setAttribute("aria-busy", String(on));
}

// done shows what was found, or why nothing was.
function done(found) {
  worker?.terminate();
  worker = null;
  busy(false);
  const checks = found.report?.checks ?? [];
  const failed = checks.filter((check) => state(check) === "failed").length;
  const passed = checks.filter((check) => check.ok).length;
  if (found.fault || passed + failed === 0) {
    verdict(`Nothing was verified: ${found.fault ?? "the file has nothing to check."}`, "care");
  } else if (failed > 0) {
    verdict(`Not verified: ${failed} of ${checks.length} checks failed.`, "bad");
  } else {
    const rest = checks.length - passed;
    verdict(`Verified: ${passed} checks passed${rest ? `, ${rest} were not made` : ""}.`, "good");
  }
  if (found.report && !found.fault) {
    const log = found.report.checkpoint;
    show(`About ${found.about}${log.origin ? `, in the ledger ${log.origin} of ${log.size} entries` : ""}.`, checks);
  }
  element("verdict").focus();
}

function verdict(text, kind) {
  element("verdict").textContent = text;
  element("verdict").className = kind;
}

const state = (check) => (check.ok ? "ok" : check.skipped ? "skipped" : "failed");
const words = { ok: "Passed", failed: "Failed", skipped: "Not checked" };

// show lists checks, those that failed first.
function show(about, checks = []) {
  element("about").textContent = about;
  const lists = [["Failed", checks.filter((check) => state(check) === "failed")]];
  const rest = checks.filter((check) => state(check) !== "failed");
  for (const [area, title] of areas) lists.push([title, rest.filter((check) => check.name.startsWith(area + "."))]);
  lists.push(["Other", rest.filter((check) => !areas.some(([area]) => check.name.startsWith(area + ".")))]);
  element("checks").replaceChildren(
    ...lists.filter(([, list]) => list.length).flatMap(([title, list]) => [node("h3", "", title), node("ul", "", ...list.map(line))]),
  );
}

function line(check) {
  const kind = state(check);
  return node(
    "li",
    kind,
    node("span", "state", words[kind]),
    node("div", "", node("p", "", sentence(check.detail || check.skipped || "")), node("p", "name", `${check.name} · ${check.subject}`)),
  );
}

const sentence = (text) => text.charAt(0).toUpperCase() + text.slice(1) + (text.endsWith(".") ? "" : ".");

function node(tag, kind, ...content) {
  const made = document.createElement(tag);
  if (kind) made.className = kind;
  made.append(...content);
  return made;
}
