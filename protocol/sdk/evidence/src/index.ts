export { readCopy, unpack, type Files } from "./copy.js";
export { included, openCheckpoint, openReceipt, treeRoot, type Checkpoint } from "./ledger.js";
export { parseTrust, verifyQuestion, type Trust } from "./question.js";
export { Report, type Check } from "./report.js";
