// testing: what a test of a pipeline is written with.
//
// What lives here: JobTester, which runs a real job in memory, ManualSource, which gives it records one
// by one, and CollectingSink, from which a test takes what the job put out.
// What may not: anything that the service itself needs; no other room imports this one.
//
// A test's records go into a log in memory, from there through the same worker, core and store as in
// production, and come out of a sink after their commit. docs/testing.md explains it with an example.

export { type CollectingOptions, CollectingSink } from "./collecting_sink.ts";
export { JobEndedError, JobFailedError, TimeoutError } from "./errors.ts";
export { JobTester, type TestOptions } from "./job_tester.ts";
export { ManualSource, type SourceOptions } from "./manual_source.ts";
