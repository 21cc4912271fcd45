import source core from "./core.wasm";
export default core;
