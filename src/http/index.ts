/** What there is, for programs and people at a terminal. */
export const INDEX = `stockflow

POST /transactions   execute transactions: text/plain, application/json or application/x-ndjson
POST /queries        ask for stocks, in the same forms
GET  /items/{id}     the stock of one item
GET  /summaries      the latest alerts: items with many failed transactions in a window
GET  /savepoints     named states; POST {"name":...} takes one, DELETE /savepoints/{name} gives it up
GET  /checkpoints    checkpoints and their history
GET  /logs           topics; /logs/{topic}/{partition}?offset=&limit= reads one
GET  /               in a browser: the page
GET  /status         what the job says of itself; /status/stream as a line of JSON a second
GET  /metrics        metrics for Prometheus
GET  /livez /readyz  whether the process lives, and whether it is ready
`;
