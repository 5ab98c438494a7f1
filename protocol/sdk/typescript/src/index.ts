/**
 * The client of a Trialmesh node: send data, watch its loads, look up reference data.
 *
 * Start from Client. Errors are of TrialmeshError; a ProblemError is a refusal by the
 * node, a NetworkError says that nobody answered.
 */

export type {
  CodeEntry,
  Job,
  Observation,
  PartialUpload,
  Problem,
  ReportLoad as LoadReport,
  ReportReport as QualityReport,
  Series,
  Status,
  Unit,
  UnmappedCode,
  Upload,
  Variable,
  Version,
} from "./api.js";
export { type Auth, BackendService } from "./auth.js";
export { Client, type ClientOptions, type Listing, type UploadOptions } from "./client.js";
export { FileChangedError, NetworkError, OAuthError, ProblemError, TrialmeshError, WaitTimeoutError } from "./errors.js";
export { newKey, type PrivateJWK, publicKeys } from "./keys.js";
