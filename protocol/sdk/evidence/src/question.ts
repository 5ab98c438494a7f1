// The verification of one question: what trialmesh verify query checks, written a second time.

import { fromBase64, fromHex, hex, number, sha256, utf8, join } from "./bytes.js";
import { keccak_256 as keccak256 } from "@noble/hashes/sha3.js";
import { canonical, fields, list, parse, text, time, whole, type Fields, type Json } from "./canonical.js";
import type { Files } from "./copy.js";
import { verify } from "./groth16.js";
import { matrixDigest } from "./hash.js";
import { bundles, entriesOf, openCheckpoint, treeRoot } from "./ledger.js";
import { must, Report } from "./report.js";
import { open, skew, type Envelope } from "./signature.js";

/** Trust is the trust document: whose word counts. It comes on another way than the evidence. */
export interface Trust {
  hub: string;
  origin: string;
  logKey: string;
  chainId?: number;
  accessLog?: string;
  boards?: string[];
  circuits?: { key: string; development?: boolean }[];
}

/** The kinds of entries that are read here. */
const kinds = { enrolled: 1, revoked: 2, circuit: 3, trial: 4, epoch: 5, asked: 6, answered: 7, access: 8, figures: 17 } as const;

interface Entry {
  index: number;
  kind: number;
  at: number;
  actor: string;
  subject: string;
  digest: string;
}

interface Circuit {
  index: number;
  shape: string;
  key: Uint8Array;
  development: boolean;
}

interface Signed extends Envelope {
  entry: Entry;
}

/** verifyQuestion checks a question, with the given id or the one that the copy was made for. */
export async function verifyQuestion(files: Files, trust: Trust, id?: string): Promise<Report> {
  const report = new Report();
  const question = id ?? new TextDecoder().decode(files.get("question")).trim();
  await new Verification(files, trust, report).question(question);
  return report;
}

class Verification {
  readonly entries: Entry[] = [];
  readonly circuits = new Map<string, Circuit>();

  constructor(
    readonly files: Files,
    readonly trust: Trust,
    readonly report: Report,
  ) {}

  async question(id: string): Promise<void> {
    if (!(await this.ledger())) return;
    let asked!: Signed;
    let result!: Fields;
    let answered!: Entry;
    let design!: Fields;
    const { report } = this;
    const good =
      (await report.check("question.signed", id, () => {
        const entry = this.only(kinds.asked, id);
        asked = this.open(entry, "query.request");
        must(asked.digest === id, "the entry is about something else than its document");
        return `entry ${entry.index} holds the question about trial ${text(asked.body["trial"])}, signed by ${asked.issuer} and valid then`;
      })) &&
      (await report.check("trial.signed", text(asked.body["trial"]), () => {
        const found = this.trial(asked);
        design = found.design;
        return found.words;
      })) &&
      (await report.check("result.recorded", id, () => {
        answered = this.only(kinds.answered, id);
        result = fields(this.document(answered));
        must(answered.actor === this.trust.hub, "the entry names another actor than the trusted hub");
        must(result["query"] === id && result["trial"] === asked.body["trial"], "the result is of another question");
        must(answered.index > asked.entry.index, "the result is older than the question");
        must(time(result["asked"]) === asked.entry.at, "the result's times do not fit the question's entry");
        return `entry ${answered.index} records the result, which is ${text(result["state"])}`;
      }));
    if (!good) return;
    if (result["repeats"] !== undefined || !["complete", "partial"].includes(text(result["state"]))) {
      report.skip("access.recorded", id, "the answer repeats another or released nothing: there is no proof of its own");
      return;
    }
    const parts = list(result["answered"]).map(fields);
    await report.check("result.nodes", id, () => {
      const named = [...parts, ...list(result["refused"] ?? []).map(fields), ...list(result["missing"] ?? []).map(fields)].map(({ node }) => text(node));
      const members = list(design["nodes"]).map(text);
      must(new Set(named).size === named.length && named.every((node) => members.includes(node)), "a node is named twice or takes no part in the trial");
      must(named.length === members.length, `${named.length} of the trial's ${members.length} nodes are accounted for`);
      must(parts.length > 0 && (result["state"] !== "complete" || parts.length === members.length), "not all nodes answered");
      return `${parts.length} of the trial's ${members.length} nodes answered`;
    });
    for (const part of parts) await this.part(asked, answered, part, parts);
    if (asked.body["proof"] !== undefined || this.find(kinds.figures, id).length > 0) {
      report.skip("figures.proof", id, "proofs of the nodes' figures (proof: result) are not checked here: trialmesh verify query does");
    }
    report.skip("access.scopes", id, "which permissions the question needs is not derived here: the lines above say which were proven");
  }

  /** ledger checks the signed tree and reads the entries. */
  async ledger(): Promise<boolean> {
    const { trust, report } = this;
    const raws: Uint8Array[] = [];
    return (
      (await report.check("log.tree", trust.origin, () => {
        const checkpoint = openCheckpoint(this.file("checkpoint"), trust.origin, trust.logKey);
        for (const [path, count] of bundles(checkpoint.size)) raws.push(...entriesOf(this.file(path), count));
        must(hex(treeRoot(raws)) === hex(checkpoint.root), "the entries do not hash to the signed root");
        return `${raws.length} entries hash to the root that the trusted key signed`;
      })) &&
      (await report.check("log.entries", trust.origin, () => {
        raws.forEach((raw, index) => {
          const entry = fields(parse(raw));
          const at = time(entry["at"]);
          must(whole(entry["v"]) === 1, `entry ${index} is of another version`);
          must(at + skew >= (this.entries.at(-1)?.at ?? 0), `entry ${index} is dated before the one that precedes it`);
          this.entries.push({ index, at, kind: whole(entry["kind"]), actor: text(entry["actor"]), subject: text(entry["subject"]), digest: text(entry["digest"]) });
        });
        return `${raws.length} entries are well-formed and in order of time`;
      })) &&
      (await report.check("log.documents", trust.origin, () => {
        for (const entry of this.find(kinds.circuit)) {
          const circuit = fields(this.document(entry));
          must(entry.actor === trust.hub, `entry ${entry.index} names another actor than the trusted hub`);
          const key = fromBase64(text(circuit["verifyingKey"]));
          this.circuits.set(hex(sha256(key)), { index: entry.index, shape: text(circuit["shape"]), key, development: circuit["development"] === true });
        }
        return `${this.circuits.size} circuits are registered by the hub`;
      }))
    );
  }

  file(path: string): Uint8Array {
    const raw = this.files.get(path);
    must(raw !== undefined, `${path} is missing`);
    return raw;
  }

  find(kind: number, subject?: string): Entry[] {
    return this.entries.filter((entry) => entry.kind === kind && (subject === undefined || entry.subject === subject));
  }

  only(kind: number, subject: string): Entry {
    const [entry, ...more] = this.find(kind, subject);
    must(entry !== undefined && more.length === 0, `the ledger records this ${more.length + (entry ? 1 : 0)} times, not once`);
    return entry;
  }

  /** document returns what an entry names by its digest. */
  document(entry: Entry): Json {
    fromHex(entry.digest, 32);
    const raw = this.file(`documents/${entry.digest}.json`);
    must(hex(sha256(raw)) === entry.digest, `the document of entry ${entry.index} was altered: it is not the one that the ledger names`);
    return parse(raw);
  }

  /** open returns an entry's signed document: the entry's actor signed it, and it was valid then. */
  open(entry: Entry, kind: string): Signed {
    const envelope = open(this.document(entry), kind, entry.at);
    must(envelope.issuer === entry.actor, `entry ${entry.index} names another actor than the document's signer`);
    return { ...envelope, entry };
  }

  /** trial returns the design of a question's trial, as it was registered last before, and checks that it allowed the question. */
  trial(asked: Signed): { design: Fields; words: string } {
    const registered = this.find(kinds.trial, text(asked.body["trial"])).filter((entry) => entry.index < asked.entry.index);
    let design: Envelope | undefined;
    let approvals: Envelope[] = [];
    for (const entry of registered) {
      const registration = fields(this.document(entry));
      const now = open(registration["design"] as Json, "trial.design");
      must(now.issuer === entry.actor && now.body["id"] === entry.subject, "the registration is of something else than its entry says");
      must(design === undefined || design.digest === now.digest, "the trial was registered with two designs");
      design = now;
      approvals = list(registration["approvals"]).map((approval) => open(approval, "trial.approval"));
      for (const { body } of approvals) must(body["trial"] === entry.subject && body["design"] === now.digest, "an approval is of another design");
    }
    must(design !== undefined, "the ledger does not record the trial before the question");
    const { at } = asked.entry;
    const approval = approvals.find(
      ({ issuer, issued, expires }) => (this.trust.boards?.length ? this.trust.boards.includes(issuer) : true) && at + skew >= issued && at < expires,
    );
    must(approval !== undefined, "no trusted board's approval was in force when the question was asked");
    const { body } = design;
    must(at >= time(body["opens"]) && at < time(body["closes"]), "the trial was not open when the question was asked");
    must(list(body["researchers"]).includes(asked.issuer), "whoever signed the question is no researcher of the trial");
    const kind = fields(asked.body["analysis"])["kind"] as Json;
    must(list(body["analyses"]).includes(kind), "the trial does not allow the analysis");
    return { design: body, words: `the design of ${design.issuer} allows the question, and ${approval.issuer} had approved it${this.trust.boards?.length ? "" : " (the trust document names no boards: find out who that is)"}` };
  }

  /** part checks what one node answered. */
  async part(asked: Signed, answered: Entry, part: Fields, parts: Fields[]): Promise<void> {
    const { report } = this;
    const node = text(part["node"]);
    let epoch!: Signed;
    let access!: Signed;
    await report.check("node.enrolled", node, () => {
      const entry = this.find(kinds.enrolled, node)[0];
      must(entry !== undefined && entry.index < asked.entry.index && entry.actor === this.trust.hub, "the ledger records no enrollment before the question");
      must(fields(this.document(entry))["node"] === node, "the enrollment is of another node");
      must(!this.find(kinds.revoked, node).some(({ index }) => index < asked.entry.index), "the node was revoked before the question");
      return `entry ${entry.index} enrolled the node, and nothing revoked it before the question`;
    });
    const recorded =
      (await report.check("epoch.recorded", node, () => {
        epoch = this.epoch(asked, node, text(part["epoch"]));
        return `entry ${epoch.entry.index} holds the node's consents, signed by it, before the question, and none newer; they follow those before`;
      })) &&
      (await report.check("access.recorded", node, () => {
        const entries = this.find(kinds.access, asked.digest).filter(({ actor }) => actor === node);
        must(entries.length === 1 && (entries[0] as Entry).index > answered.index, `the ledger records ${entries.length} access proofs of the node after the result, not one`);
        access = this.open(entries[0] as Entry, "query.access");
        const { body } = access;
        must(body["node"] === node && body["query"] === asked.digest, "the proof is about another node or question");
        must(body["epoch"] === part["epoch"], "the proof is about other consents than the answer");
        must(body["used"] === part["commitment"], "the proof is not about the records that the node committed to");
        must(parts.filter(({ commitment }) => commitment === part["commitment"]).length === 1, "another node committed to the same records");
        must(whole(body["atLeast"]) >= whole(part["atLeast"]), "fewer records are stated than the answer needs");
        return `entry ${access.entry.index} holds the node's statement: at least ${whole(body["atLeast"])} records, for ${list(body["scopes"]).map(text).join(" and ")}`;
      }));
    if (!recorded) return;
    const sound = await report.check("epoch.proof", node, async () => {
      const shards = list(epoch.body["shards"]).map(fields);
      const { circuit, words } = this.circuit(text(epoch.body["circuit"]), epoch.entry.index, /^epoch-(\d+)$/);
      must(shards.length > 0, "the epoch has no shards");
      for (const shard of shards) {
        const [from, to] = [time(shard["from"]) / 1000, time(shard["to"]) / 1000];
        must(from <= asked.entry.at / 1000 && asked.entry.at / 1000 < to, "the epoch's window does not cover the question");
        const inputs = [element(shard["root"]), BigInt(Math.floor(from)), BigInt(Math.floor(to)), element(shard["matrix"])];
        must(await verify(circuit.key, inputs, fromBase64(text(shard["proof"]))), "the proof of a shard does not verify");
      }
      return `the proofs of all ${shards.length} shards verify${words}`;
    });
    if (!sound) return;
    await report.check("access.proof", node, async () => {
      const { circuit, size, words } = this.circuit(text(access.body["circuit"]), access.entry.index, /^access-(\d+)x(\d+)x(\d+)$/);
      const [shardSize, shards, slots] = size as [number, number, number];
      must(this.circuit(text(epoch.body["circuit"]), epoch.entry.index, /^epoch-(\d+)$/).size[0] === shardSize, "the circuits differ in shard size");
      const matrices = list(epoch.body["shards"]).map((shard) => element(fields(shard)["matrix"]));
      const inputs = [
        matrixDigest(shardSize, shards, matrices),
        element(access.body["used"]),
        this.questionHash(node, asked.digest),
        packScopes(list(access.body["scopes"]).map(text), slots),
        BigInt(whole(access.body["atLeast"])),
      ];
      must(await verify(circuit.key, inputs, fromBase64(text(access.body["proof"]))), "the zero-knowledge proof does not verify");
      return `the zero-knowledge proof verifies: every record used had a consent in force${words}`;
    });
  }

  /** epoch finds the consents that a node answered under among those before the question. */
  epoch(asked: Signed, node: string, digest: string): Signed {
    const own = this.find(kinds.epoch, text(asked.body["trial"])).filter(({ actor, index }) => actor === node && index < asked.entry.index);
    let found: Signed | undefined;
    let place = own.length;
    while (found?.digest !== digest && place > 0) found = this.open(own[--place] as Entry, "consent.epoch");
    must(found !== undefined && found.digest === digest, "the ledger records no such consents of the node before the question");
    must(found.body["node"] === node && found.body["trial"] === asked.body["trial"], "the consents are of another node or trial");
    must(!own.slice(place + 1).some(({ at }) => at + skew < asked.entry.at), "the node had published newer consents when it was asked");
    const before = place > 0 ? this.open(own[place - 1] as Entry, "consent.epoch") : undefined;
    must(found.body["revises"] === (before?.digest ?? "0".repeat(64)), "the consents do not follow those before");
    must(whole(found.body["number"]) === whole(before?.body["number"] ?? 0) + 1, "the consents are numbered wrongly");
    return found;
  }

  /** circuit returns a circuit whose proofs count for an entry. */
  circuit(key: string, before: number, form: RegExp): { circuit: Circuit; size: number[]; words: string } {
    const circuit = this.circuits.get(key);
    must(circuit !== undefined && circuit.index < before, `no circuit with the verifying key ${key} was registered before`);
    const trusted = this.trust.circuits?.find((one) => one.key === key);
    must(!this.trust.circuits?.length || trusted !== undefined, `the verifying key ${key} is not a trusted one`);
    const size = form.exec(circuit.shape)?.slice(1).map(Number);
    must(size !== undefined, "the circuit is of another kind");
    return { circuit, size, words: circuit.development || trusted?.development ? "; the key is a DEVELOPMENT key: whoever made it could forge such proofs" : "" };
  }

  /** questionHash binds a proof to a node, a question, a chain and a contract. */
  questionHash(node: string, question: string): bigint {
    const { chainId = 0, accessLog } = this.trust;
    must(accessLog !== undefined && accessLog.startsWith("0x"), "the trust document names no AccessLog contract");
    const contract = fromHex(accessLog.slice(2).toLowerCase(), 20);
    const chain = fromHex(chainId.toString(16).padStart(64, "0"), 32);
    return number(keccak256(join(chain, contract, sha256(utf8(node)), fromHex(question, 32))).subarray(0, 31));
  }
}

const element = (value: Json | undefined): bigint => number(fromHex(text(value), 32));

const scopeNumbers: Record<string, number> = {
  demographics: 0,
  conditions: 1,
  medications: 2,
  measurements: 3,
  procedures: 4,
  immunizations: 5,
  allergies: 6,
  visits: 7,
  observations: 8,
  statistics: 32,
  "record-access": 33,
};

/** packScopes writes scopes as the circuit takes them: in order, 6 bits each, the last repeated. */
function packScopes(names: string[], slots: number): bigint {
  const members = names.map((name) => scopeNumbers[name] ?? -1).sort((a, b) => a - b);
  must(members.length > 0 && members.length <= slots && (members[0] as number) >= 0, "the scopes are unknown or too many");
  return Array.from({ length: slots }, (_, k) => BigInt(members[Math.min(k, members.length - 1)] as number) << BigInt(6 * k)).reduce((a, b) => a | b);
}

/** parseTrust reads a trust document. Unknown fields refuse: a restriction that is misspelled would be none. */
export function parseTrust(raw: Uint8Array): Trust {
  const document = fields(JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(raw)) as Json);
  const known = ["hub", "origin", "logKey", "chainId", "hubAnchor", "consentRoots", "accessLog", "boards", "circuits"];
  for (const name of Object.keys(document)) must(known.includes(name), `trust document: unknown field ${canonical(name)}`);
  for (const name of ["hub", "origin", "logKey"]) must(typeof document[name] === "string", `trust document: ${name} is missing`);
  return document as unknown as Trust;
}
