// http: the API for programs and people.
//
// What lives here: routes, forms of bodies, who may use them, metrics, the server.
// What may not: rules of the business, logs, storage; a request is read, handed to the running job, and
// its outcome is written.

export { accessOf, checkAccess } from "./access.ts";
export { createApi } from "./api.ts";
export { type HttpLimits, limitsOf } from "./limits.ts";
export { type Server, startServer } from "./server.ts";
