# The service in a container: the bundle, and Deno. Nothing but /data is written to.
#
#   docker build -t stockflow .
#   docker run -d --name stockflow --read-only -e HTTP_TOKEN=<token> -p 127.0.0.1:8080:8080 -v stockflow:/data stockflow
#   docker run --rm -v stockflow:/data stockflow state list
#
# Behind a proxy with certificates of its own, or with a registry of one's own:
#   --build-arg DENO_TLS_CA_STORE=system -v /etc/ssl/certs:/etc/ssl/certs:ro
#   --build-arg NPM_CONFIG_REGISTRY=<address>

FROM denoland/deno:debian-2.9.6 AS sources
WORKDIR /src
COPY . .

FROM sources AS core
ARG DENO_TLS_CA_STORE=mozilla
ARG NPM_CONFIG_REGISTRY
RUN deno run -A wasm/build.ts

FROM sources AS page
ARG DENO_TLS_CA_STORE=mozilla
ARG NPM_CONFIG_REGISTRY
RUN deno run -A src/dashboard/build.ts

FROM sources AS bundle
ARG DENO_TLS_CA_STORE=mozilla
ARG NPM_CONFIG_REGISTRY
COPY --from=core /src/src/wasm src/wasm
COPY --from=page /src/src/http/page src/http/page
RUN deno run -A tools/bundle/build.ts --to=/dist

FROM denoland/deno:debian-2.9.6
LABEL org.opencontainers.image.title="stockflow" \
      org.opencontainers.image.description="Stock transactions, validated and executed exactly once; stocks and summaries" \
      org.opencontainers.image.version="0.1.0"
COPY --from=bundle /dist /app
# Relative paths, data among them, are relative to /: the defaults are /data/log.kv and /data/state.kv.
WORKDIR /
RUN mkdir -m 700 /data && chown 1993:1993 /data
# A container is reached by its address; the service asks for a token then (HTTP_TOKEN). Deno's cache is not needed:
# the root file system may be read-only.
ENV HTTP_HOST=0.0.0.0 DENO_DIR=/tmp/deno
# The user deno of the base, by number: Kubernetes can see that it is not root.
USER 1993:1993
VOLUME /data
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=5m CMD ["/app/stockflow", "health"]
ENTRYPOINT ["/app/stockflow"]
CMD ["start"]
