# The embedded service. Its data is the volume /data.
#
#   docker build -t stockflow . && docker run --network host -v stockflow:/data stockflow

FROM denoland/deno:debian-2.9.6 AS build
WORKDIR /app
COPY deno.json deno.lock ./
COPY src ./src
COPY wasm/contract.ts wasm/assemblyscript.d.ts ./wasm/
COPY test/std ./test/std
# Fetches the dependencies and checks the program, so that the image starts without a network.
ENV DENO_DIR=/deno-dir
RUN deno install --frozen --entrypoint src/cli/main.ts src/cli/state.ts && deno check src/cli/main.ts src/cli/state.ts

FROM denoland/deno:debian-2.9.6
WORKDIR /app
ENV DENO_DIR=/deno-dir
COPY --from=build --chown=deno:deno /deno-dir /deno-dir
COPY --from=build --chown=deno:deno /app /app
COPY --chown=deno:deno config ./config
RUN mkdir -m 700 /data && chown deno:deno /data
USER deno
VOLUME /data
ENV LOG_KV=/data/log.kv STATE_KV=/data/state.kv
STOPSIGNAL SIGTERM
ENTRYPOINT ["deno", "run", "--cached-only", "--frozen", "--no-prompt", "--v8-flags=--max-semi-space-size=8", "-P=start", "src/cli/main.ts"]
