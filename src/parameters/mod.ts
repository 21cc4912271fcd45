// parameters: what a user sets.
//
// What lives here: the table of all parameters, their kinds and checks, reading them from flags, environment and
// files, keys of other programs.
// What may not: what a parameter does.
//
// Text goes in, checked values come out.

export { ParameterError } from "./errors.ts";
export {
  boolean,
  decimal,
  integer,
  list,
  oneOf,
  optional,
  type Parameter,
  secret,
  text,
} from "./parameter_kinds.ts";
export { readSmallBytes, readSmallFile, SMALL_FILE_BYTES_MAX } from "./files.ts";
export { FOREIGN_KEYS } from "./foreign_keys.ts";
export {
  environmentName,
  PARAMETER_KEYS,
  type ParameterKey,
  PARAMETERS,
  type ParameterValue,
} from "./parameter_table.ts";
export {
  clusterTokenOf,
  type ConfigurationEntry,
  configurationOf,
  formatOf,
  type GivenParameters,
  isSecret,
  type KeyOf,
  type None,
  parameterHelp,
  Parameters,
  type ParameterTable,
  partitionerNameOf,
  queryCommitIntervalMs,
  showKey,
  type ValueOf,
} from "./parameters.ts";
